"""Diagnostics at the site: how buses and devices do, what went over the line, whether the record is whole."""
