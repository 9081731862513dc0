"""The API's own description: OpenAPI, samples, what a refusal means; pure, made of the types."""
