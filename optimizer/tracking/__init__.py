"""The loop of seconds: which rows move when the total must move, under every limit of the tree above them.

::

    plan, telemetry ─► urgency ─► key of every row ──┐ refresh, a part of the fleet at a time
    what a row can take now ─────────────────────────┴─► curves of every node ─┐
    target of the total, every 1-4 s ──────────────────────────────────────────┴─► walk ─► the rows that changed

Rows of a node stand in line by their key. Those before the pointer take the most they can, those behind it the least,
the one it points at the rest. A tick looks up how the total divides among the nodes and moves the pointers; it touches
only rows that a pointer passes. ``MeritOrder`` in ``merit_order`` is all a caller needs, ``urgency`` makes its keys.
"""
