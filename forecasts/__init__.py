"""Load forecasts: metered series in, quantiles or mean and spread out."""
