"""Archive of the journal: segments of old entries in files, their index in SQL."""
