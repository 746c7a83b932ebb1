"""What would have been, what was delivered, and how well."""
