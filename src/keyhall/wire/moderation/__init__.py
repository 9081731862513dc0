"""Pure: `POST /v1/moderations`, its request and its answer, in the form of OpenAI's API."""
