"""EPCIS 2.0: sensor and lot events from the record, named by the hash of the standard."""
