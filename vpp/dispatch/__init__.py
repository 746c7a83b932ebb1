"""The fast loop: requests, targets, guard and outbox.

Pure and deterministic: no clock, no I/O, no task. ``now_s`` comes in with every call, everything that was decided goes
out through ``record`` before it takes effect, and feeding those entries back rebuilds the same state.

::

    RequestBook ── Timetable ──► controller ──► proposals ──► guard ──► Outbox ──► SetpointBatch
       (who, when, how much)      (extra give)   (narrow)     (caps)    (leases)      to the links

Words used here, in the direction that was asked (up: net load goes down, down: net load goes up):

=========  ========================================================================================================
free       power a row would take if nobody dispatched it, estimated from its own meter before it was commanded
bound      power a row can be moved to now and hold until the end of the request
room       free less bound, at least 0: the most the row can give
give       free less setpoint: what the row was asked to give
delivered  baseline less metered, summed over the portfolio: what counts
=========  ========================================================================================================
"""
