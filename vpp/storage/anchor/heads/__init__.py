"""Places of signed heads: a file of each fleet, and a second place behind a web address."""
