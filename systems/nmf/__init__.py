"""Non-negative matrix factorisation: the classical separator that learns from the query alone."""
