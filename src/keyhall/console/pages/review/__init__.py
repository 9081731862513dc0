"""Pages of those who look at answers: the queue, one item, the work, and what is learned."""
