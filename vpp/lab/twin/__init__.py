"""Physical model of the device side: chargers, cars, batteries, roofs, buildings and plants as arrays.

::

    sessions, weather, noise (exogenous, seeded) ──► physics step ──► power of two worlds, shape (2, n)
    commands ──► dispatch value of world 0 only ────────┘               world 0 ACTUAL: shown by the meters
                                                                        world 1 COUNTERFACTUAL: without the request

Both worlds are in one array and stepped by one call, so that they differ by dispatched commands only. The service never
sees world 1; only the ground truth and the verdict do.
"""
