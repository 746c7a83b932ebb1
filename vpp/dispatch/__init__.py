"""Fast loop: requests, setpoints, arbitration, guard and outbox.

Pure and deterministic: no clock, no I/O, no task. ``now_s`` comes in with every call, everything that was decided goes
out through ``record`` before it takes effect, and feeding these entries back rebuilds the same state.

::

    requests ─► flexibility ─► allocation ──► arbitration ─► commands ─► SetpointBatch
    (phases,    (scan of       (tracking,     (proposals,    (leases,    to the links
     target)     the fleet)     merit order)   guard, caps)   outcomes)
                                   ▲                             ▲
                       rows: state of every row, one owner  ─────┘      regulation: a signal, also between two cycles

Powers of a row are load positive. Words for a change in the direction asked (up: net load falls, down: it rises):

============  =====================================================================================================
uncontrolled  power a row would take undispatched, estimated from its own meter before it was commanded
available     greatest change of it that the row can sustain until the end of the request, at least 0
activated     change of it that is asked of the row: uncontrolled power less setpoint, in the direction asked
delivered     baseline less metered power in the direction asked, summed over the portfolio: what counts
============  =====================================================================================================
"""
