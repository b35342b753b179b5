-- What staff decided about the keys of gateways, each line signed by the cluster, for proofs to show.
CREATE TABLE key_statement (
    gateway bigint NOT NULL REFERENCES gateway, place bigint NOT NULL, what text NOT NULL, at_ms bigint NOT NULL,
    statement bytea NOT NULL, PRIMARY KEY (gateway, place));
CREATE INDEX request_code ON request (code);
