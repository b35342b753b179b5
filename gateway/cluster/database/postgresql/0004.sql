-- Proofs: the nodes of the cluster's log, what its witnesses have seen, and what this cluster has witnessed of others.
CREATE TABLE log_state (id bigint PRIMARY KEY, origin text NOT NULL DEFAULT '');
INSERT INTO log_state (id) VALUES (1);
CREATE TABLE log_node (
    level bigint NOT NULL, place bigint NOT NULL, hash bytea NOT NULL, PRIMARY KEY (level, place));
CREATE TABLE heard (
    gateway bigint PRIMARY KEY REFERENCES gateway, event_next bigint NOT NULL DEFAULT 0,
    size bigint NOT NULL DEFAULT 0, refused bigint NOT NULL DEFAULT 0);
CREATE INDEX log_leaf_size ON log_leaf (gateway, stream, size);
CREATE INDEX event_witness ON event (gateway, seq) WHERE kind LIKE 'checkpoint.%';
CREATE TABLE witnessed (
    origin text PRIMARY KEY, size bigint NOT NULL, root bytea NOT NULL, note text NOT NULL, at_ms bigint NOT NULL);
