-- What staff decided about the keys of gateways, each line signed by the cluster, for proofs to show.
CREATE TABLE key_statement (
    gateway INTEGER NOT NULL REFERENCES gateway, place INTEGER NOT NULL, what TEXT NOT NULL, at_ms INTEGER NOT NULL,
    statement BLOB NOT NULL, PRIMARY KEY (gateway, place)) WITHOUT ROWID, STRICT;
CREATE INDEX request_code ON request (code);
