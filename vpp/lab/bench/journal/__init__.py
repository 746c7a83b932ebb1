"""Growth of the journal: a city's day in a real database."""
