"""How the box itself is doing, told to those who run it: figures for Prometheus, lines for the systemd journal."""
