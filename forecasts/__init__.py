"""Pure forecasts: arrays in, arrays out."""
