"""Standing commitments over HTTP."""
