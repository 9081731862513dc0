"""Pages of whoever runs the hall: organizations, tiers, models, engines, settings."""
