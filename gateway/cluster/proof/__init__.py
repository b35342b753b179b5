"""Proofs for others: the log of checkpoints, its witnesses, certificates of completeness, evidence packs."""
