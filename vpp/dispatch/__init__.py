"""The fast loop: requests, targets, guard and outbox."""
