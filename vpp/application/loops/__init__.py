"""Fast and slow control loop, and the device plane below them."""
