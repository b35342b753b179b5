"""A virtual machine for what only a whole system can show: systemd, BlueZ, a real kernel."""
