"""The JSON API of the cluster's page: reads, described by OpenAPI, within the scope of the token."""
