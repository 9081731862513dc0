"""Values that are valid for a caller's JSON schema."""
