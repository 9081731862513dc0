"""The pages of keys: listed, made and shown once, looked at, changed, rotated, revoked."""
