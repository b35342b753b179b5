"""The JSON API: the same orders as the pages give, for programs with a token; described by OpenAPI."""
