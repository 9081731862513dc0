"""SQL of the filter: rules and switches, how often they hit, and reports that one was wrong."""
