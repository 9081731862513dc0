"""People: signing up and in, one-time links, second factors, members."""
