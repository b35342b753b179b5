"""The durable store between judging and sending: an append-only journal of signed batches in one SQLite file.

`journal.Journal` is what the event loop uses, `reader.Reader` what anything else reads with. docs/journal.md
describes the file and what happens when the disk is full, read-only or damaged.
"""
