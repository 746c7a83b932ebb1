"""Bodies of the HTTP API: units in names, instants with an offset, ``null`` for unknown."""
