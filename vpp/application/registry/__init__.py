"""The fleet's members in a running service: added, changed, retired, and handed over from device to device."""
