"""Serial lines and the instruments on them: scales, electrodes, receivers of position, meters, scanners."""
