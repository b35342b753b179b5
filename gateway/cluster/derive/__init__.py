"""From signed evidence to tables that people can query: the follower, the day segments, series queries, retention.

Nothing here is evidence. Every table that is written here can be thrown away and made anew from the batches, as
long as retention has not taken their bodies. For those who write SQL: docs/cluster-data.md.
"""
