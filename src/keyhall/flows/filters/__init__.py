"""The filter in the lane: which rules hold for whom, and what is done about a request's texts."""
