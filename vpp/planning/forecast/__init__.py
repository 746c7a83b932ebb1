"""Load forecast of the fleet: rows and metered history to series, and the forecast of series back to rows.

The mathematics is in `forecasts`.
"""
