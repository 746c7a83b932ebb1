"""Physical model of the device side: chargers, cars, batteries, roofs, buildings and plants as arrays.

::

    sessions, weather, noise (exogenous, seeded) ──► physics step ──► power of the worlds, shape (2, n), stores (3, s)
    commands ──► dispatch value of world 0 only ────────┘               world 0 ACTUAL: shown by the meters
    plans without reserve and request ──► stores of world 2 ────┘       world 1 PREPARED: the defaults without dispatch
                                                                        world 2 ORDINARY: neither reserve nor request

All worlds are stepped by one call, so that they differ by commands only. The service never sees worlds 1 and 2; only
the ground truth and the verdict do.
"""
