"""Names of people and companies apart from the record that needs them."""
