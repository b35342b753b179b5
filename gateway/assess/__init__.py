"""Judges what acquire brings: quality, gaps; limits and alarms. Never changes a value."""
