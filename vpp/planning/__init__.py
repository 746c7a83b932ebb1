"""The slow loop: forecasts, plan, capability and quote."""
