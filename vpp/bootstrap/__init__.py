"""Composition root: the only place that names concrete adapters and, with the CLI, reads settings."""
