"""The life of a request: quote, acceptance, measurement, revision and settlement."""
