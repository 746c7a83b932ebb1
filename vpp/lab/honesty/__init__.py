"""``vpp bench honesty``: whether quotes are kept as often as they say, over many days of a simulated city.

::

    seed ──► stretches of days ──► simulated city ──► windows quoted for nobody, judged ──┐
                 │  ▲                       └──► calls at p10, judged by the twin ────────┼──► figures, picture
                 └──┘ what was learnt                     kept beside every stretch ◄─────┘
"""
