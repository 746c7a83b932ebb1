"""Standing commitments as the API has them."""
