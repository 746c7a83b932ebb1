"""Trust in the record: verified beside control, vouched for while it grows, accepted by an operator after a restore."""
