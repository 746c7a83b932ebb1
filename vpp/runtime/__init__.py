"""Runtime of the service: clocks, supervisor, metrics, logs."""
