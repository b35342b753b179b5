"""What sensors keep in memories of their own, read over a connection after a gap."""
