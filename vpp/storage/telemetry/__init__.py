"""The telemetry store: samples as columnar files in a Delta table, queried with DuckDB."""
