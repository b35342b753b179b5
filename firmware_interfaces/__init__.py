"""How sensor firmware is spoken to. Knows nothing of food or of the gateway; usable alone."""
