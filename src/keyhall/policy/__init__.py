"""Pure rules: functions of values and tables. No clock, no I/O, no randomness."""
