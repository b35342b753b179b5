"""Stateless decoders of advertisements: bytes in, readings or a named fault out. One file a format."""
