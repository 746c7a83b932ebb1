"""Pages for people: the printable report."""
