"""The first start: from a new box to a gateway that its cluster knows."""
