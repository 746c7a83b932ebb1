"""The device plane between leader and gateways over a bus, and the event stream inside the service."""
