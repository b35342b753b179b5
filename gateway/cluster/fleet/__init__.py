"""The page of the cluster's staff and its JSON API: the whole fleet, a member, a gateway, a point."""
