"""Commissioning at the site: see what is there, try it, draft its lines, take first readings, calibrate."""
