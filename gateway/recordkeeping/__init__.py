"""People's records at work: from the journal's events to the logbook, and from requests to events."""
