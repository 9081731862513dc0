"""Holds and limits: adapters of the counters port, named by where the sums are kept."""
