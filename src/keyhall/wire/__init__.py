"""Pure protocol: what OpenAI's wire format says, as types, parsers and encoders."""
