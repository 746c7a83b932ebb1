"""A gateway: the device links of a shard of the fleet."""
