"""Inputs of this computer that the kernel shows: ADC and 4-20 mA boards (IIO), hwmon, the board's own health."""
