"""The device side as physics: one vectorised model of chargers, cars, batteries, roofs, buildings and plants.

::

    sessions, weather, noise (exogenous, seeded) ──► physics step ──► power of two worlds, shape (2, n)
    commands ──► dispatch value of world 0 only ────────┘               world 0 ACTUAL: what the meters show
                                                                        world 1 COUNTERFACTUAL: without the request

Both worlds live in one array and are stepped by one call, so they can only differ by what was dispatched. The service
never sees world 1; truth and judgement read it.
"""
