"""What people do to the hall: keys, organizations, versions, engines. One file per noun.

Each function is one transaction: it reads what is there, refuses with a sentence, or writes the
new state together with its audit row and the change that a running server follows (I-15, R14).
Ids, time and entropy are arguments.
"""
