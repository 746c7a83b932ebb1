"""The worlds that are stepped as one.

``ACTUAL`` has the service's commands. ``PREPARED`` has its default values and no dispatch: a city whose stores stand
ready for a call that never comes, and what the settlement's baseline estimates; at the begin of each call it rejoins
the actual one (`vpp.lab.simulate.worlds.rejoining`). ``ORDINARY`` is the same city with the
same service and prices but no reserve held and no request: its stores follow plans of their own. No default but that of
a store follows a plan, so everything else is in the ordinary world what it is in the prepared one, and only stores are
stepped three times.
"""

WORLDS = 2
"""Length of the first axis of arrays of all devices."""

STORE_WORLDS = 3
"""Length of the first axis of arrays of stores, and of sums over the fleet."""

ACTUAL, PREPARED, ORDINARY = 0, 1, 2
"""Positions on that axis."""
