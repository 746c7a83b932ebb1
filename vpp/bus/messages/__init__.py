"""Messages of the device plane as columns, and back."""
