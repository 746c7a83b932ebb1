"""Restart of ``vpp serve`` on a journal of years: ready time and memory against the same fleet with an empty one."""
