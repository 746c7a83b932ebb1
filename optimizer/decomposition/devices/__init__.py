"""Best responses of single devices to prices."""
