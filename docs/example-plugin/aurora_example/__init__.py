"""One plugin of each kind. All that they need of the gateway is `gateway.api`."""
