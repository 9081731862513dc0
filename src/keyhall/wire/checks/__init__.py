"""What a request must look like, and the precise refusal when it does not. Pure."""
