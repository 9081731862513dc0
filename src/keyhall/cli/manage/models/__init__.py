"""`keyhall models`: its commands, and models in words."""
