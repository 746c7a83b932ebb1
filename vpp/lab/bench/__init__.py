"""The project's own measurements: each a ratio or a figure against a named alternative in the same run."""
