"""What a caller has in sight: the service narrowed to scopes."""
