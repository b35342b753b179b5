"""The schedule, one worker per bus, breakers and calibration: what is due becomes a scan or a miss."""
