"""Feedback and reviews on the wire: Keyhall's own endpoints beside OpenAI's. Pure."""
