"""``vpp simulate``: a city's day on virtual time, judged by what the service never sees.

::

    preset or CSV fleet ──► twin, pre-rolled a week ──► VirtualCity (service, links, clock) ──► day: requests, cycles
    requests, sessions, weather, prices ──┘                                  │
                                              recorder: minutes of every area, loads of every transformer
                                                                             └──► outputs: Parquet, plots, report
"""
