"""From the journal to what a report is made of, with the verification of its evidence."""
