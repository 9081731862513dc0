"""Reports of leaked keys: their two forms, and what each is answered."""
