"""``vpp bench baseline``: every baseline method judged on the twin's truth, honest and gaming."""
