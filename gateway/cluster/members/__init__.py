"""Members apart in PostgreSQL: a role of SQL for each member, one for the receivers, and a look at what is open."""
