"""What keeps the service alive: clocks, supervisor, metrics, the loops."""
