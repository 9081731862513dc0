"""Two versions asked the same, and what came of it: answers, figures, a report to look at."""
