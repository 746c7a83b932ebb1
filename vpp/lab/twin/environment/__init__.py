"""Days, people, devices and network of a simulated city, as a world file states them.

::

    kind.toml, hostile.toml, a file of a user's own ──► World ──► weather of a year, factors of load and arrivals
                                                         ├──► departures that were not stated so, overrides, opt-outs
                                                         ├──► makes that do not respond, outages, biased meters
                                                         └──► load of others above its forecast

The kind world changes nothing: every day is the same hot day, people and devices do what they said.
"""
