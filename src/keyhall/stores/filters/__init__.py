"""Rules of the filter that are kept, and how often each has hit."""
