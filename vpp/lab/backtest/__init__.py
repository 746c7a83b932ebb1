"""Backtest: forecasts of any period of a data set by rolling origin."""
