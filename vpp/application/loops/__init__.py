"""The fast and the slow control loop, and what stands between them and the devices."""
