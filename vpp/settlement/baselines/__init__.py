"""Baselines of requests: methods, the days and hours they look at, and the rows that can be given one."""
