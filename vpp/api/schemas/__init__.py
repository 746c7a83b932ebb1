"""What travels over HTTP: units in names, instants with an offset, ``null`` for unknown."""
