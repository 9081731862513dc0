"""What a verification compares, as values: chains, costs, and quotas played again."""
