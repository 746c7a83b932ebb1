"""Reserve as a plan sees it: power that is worth holding ready, with what a missing kW costs.

::

    standing commitments ──► standing_hours ──┐
    calls of the past ──► call_expectation ───┴──► demand ──► vpp.planning.schedule
"""
