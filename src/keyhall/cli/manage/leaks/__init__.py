"""Keys in files: found, and revoked."""
