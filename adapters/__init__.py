"""One folder a protocol, both ends of it: our side and a device-side simulator."""
