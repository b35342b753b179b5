"""1-wire temperature sensors (DS18B20 and family) through the kernel's w1 files."""
