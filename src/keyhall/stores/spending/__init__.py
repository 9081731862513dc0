"""What is used and what that means: taking usage in, quotas, overage, credit, alerts."""
