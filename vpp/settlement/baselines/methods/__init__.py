"""Baseline methods of public rule books as data: each a small pure object, all on the same evidence."""
