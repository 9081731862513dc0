"""The store on PostgreSQL: one database for as many processes and machines as there are."""
