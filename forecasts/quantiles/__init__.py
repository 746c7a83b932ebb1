"""Quantile forecasts of panels: a seasonal rule, boosted trees, and the choice between them per series."""
