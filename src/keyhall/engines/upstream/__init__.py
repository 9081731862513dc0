"""An engine that passes requests on to any OpenAI-compatible server."""
