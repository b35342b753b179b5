"""A fleet of gateways against the cluster's end: real signatures, real broker, real database."""
