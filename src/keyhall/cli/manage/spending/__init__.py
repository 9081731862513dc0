"""What may be spent and what was: quotas, credit, alerts, statements."""
