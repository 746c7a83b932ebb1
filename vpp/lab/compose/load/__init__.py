"""Load tests of the device plane: central systems, links and devices as worker processes."""
