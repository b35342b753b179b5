"""Lighthouse on the overview at its phone settings: `scripts/install-node-tools bench/lighthouse`, then
`python -m bench.lighthouse`. Prints the four scores and the times behind the first.
"""
