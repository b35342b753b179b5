"""The evidence chain as bytes: batches (COSE_Sign1), keys, Merkle trees, receipts and their verification.

Pure functions; the only files touched are key files (`keys`) and what `verify` is told to read. The format is
described for outsiders in docs/batch-format.md.
"""
