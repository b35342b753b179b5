"""Answers with the pre-hash strings of the reference implementation of the EPCIS Event Hash ID.

Runs in an environment of its own with `epcis-event-hash-generator==1.9.3` (MIT): one EPCIS document a line on
standard input, one JSON list a line on standard output.
"""

import json
import logging
import sys

from epcis_event_hash_generator import hash_generator, json_to_py

logging.disable(logging.CRITICAL)
for line in sys.stdin:
    events = json_to_py.event_list_from_epcis_document_json(json.loads(line))
    print(json.dumps(hash_generator.derive_prehashes_from_events(events)), flush=True)
