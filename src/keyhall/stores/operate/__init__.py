"""What operators and administrators look through: acts, places, asks and traffic."""
