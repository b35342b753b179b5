"""What people record: notes, corrective actions, calibrations, lots, and changes of the site file."""
