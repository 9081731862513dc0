"""Keys that leak, and keys that wander: reported, found, revoked, and told to their owners."""
