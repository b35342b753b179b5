"""Bluetooth LE sensors: what is in the air, heard and decoded."""
