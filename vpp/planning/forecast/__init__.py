"""Load forecast of every device from its metered history, calendar and charging needs."""
