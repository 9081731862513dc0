"""Commands that manage the hall, one file per noun. They work whether or not a server runs."""
