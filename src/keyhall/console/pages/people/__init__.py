"""The people of an organization, and class lists."""
