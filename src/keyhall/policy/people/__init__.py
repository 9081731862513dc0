"""People: what each role may do, and how an account is let in."""
