"""What operators look through and answer: the audit, and who asks for more."""
