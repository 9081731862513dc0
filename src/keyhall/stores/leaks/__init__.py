"""Notices to owners of keys, and from how many networks keys are used."""
