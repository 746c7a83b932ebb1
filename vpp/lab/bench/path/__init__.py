"""``vpp bench path``: a request from acceptance to the meters, across every process."""
