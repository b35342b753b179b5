-- Proofs: the nodes of the cluster's log, what its witnesses have seen, and what this cluster has witnessed of others.
CREATE TABLE log_state (id INTEGER PRIMARY KEY, origin TEXT NOT NULL DEFAULT '') STRICT;
INSERT INTO log_state (id) VALUES (1);
CREATE TABLE log_node (
    level INTEGER NOT NULL, place INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, place)) WITHOUT ROWID, STRICT;
CREATE TABLE heard (
    gateway INTEGER PRIMARY KEY REFERENCES gateway, event_next INTEGER NOT NULL DEFAULT 0,
    size INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX log_leaf_size ON log_leaf (gateway, stream, size);
CREATE INDEX event_witness ON event (gateway, seq) WHERE kind LIKE 'checkpoint.%';
CREATE TABLE witnessed (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL, at_ms INTEGER NOT NULL) STRICT;
