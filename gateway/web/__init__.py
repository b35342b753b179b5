"""The local status page, its JSON API and the metrics endpoint."""
