"""Keyhall: a self-hosted, OpenAI-compatible API-key platform for ChatGPT-class models."""

__version__ = "0.1.0"
