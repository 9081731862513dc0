"""What people do with answers in the queue, from the command line."""
