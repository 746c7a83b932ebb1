"""Flexibility of single devices: available, metered and promised power, and fairness among them."""
