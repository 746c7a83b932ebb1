"""``vpp bench world``: forecast errors of the twin beside those of real series."""
