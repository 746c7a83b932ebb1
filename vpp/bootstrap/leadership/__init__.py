"""Leader and standby: the two states of a ``vpp serve``, and the lease between them."""
