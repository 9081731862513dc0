"""Rules on what goes in and comes out: the hall's for operators, a project's for those who may
change it."""
