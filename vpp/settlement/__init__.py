"""Baseline, delivery and settlement of requests.

Pure functions of metered 15-minute means; the only thing with a memory is the tracker, and it can be resumed.

::

    IntervalMeter ─► reference ─► baseline ──► spread ─────┐
    Schedule ────────────────────────┘  │                  ▼
    FleetState ──────────► tracking ────┴──► performance ──► Performance ─► report
                                                 bands ────┘

Delivered power has the sign of what was asked: positive is good in both directions (kW, net load positive).

==========  =========  =========  ==========  ================================================
direction   baseline   measured   delivered   reads
==========  =========  =========  ==========  ================================================
up             1000        800        +200    200 kW of load was cut
up             -100       -300        +200    200 kW more was fed in
up             1000       1050         -50    load rose instead: rebound
down            500        700        +200    200 kW of load was added
down           -300       -100        +200    200 kW of photovoltaics was curtailed
==========  =========  =========  ==========  ================================================
"""
