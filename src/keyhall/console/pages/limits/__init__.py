"""The pages of limits: the front page with its bars, what fits and why not, the first minute."""
