"""Rules as people write them: phrases, and files of rules."""
