"""Sensors that are asked over a connection (GATT): what their characteristics mean, and how they are read."""
