"""A kit for protocols whose devices dial in by the hundred thousand: sockets, timers, admission and batching."""
