"""``vpp bench dispatch``: a day of regulation in closed loop."""
