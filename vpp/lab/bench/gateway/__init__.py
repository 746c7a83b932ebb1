"""``vpp bench gateway``: the device plane under load."""
