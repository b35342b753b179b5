-- Members apart from their gateways, what is derived from the evidence, and what identity, proofs and pages need.
ALTER TABLE member RENAME TO old_member;
CREATE TABLE member (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO member (name) SELECT DISTINCT member FROM old_member ORDER BY member;
CREATE TABLE gateway (
    id INTEGER PRIMARY KEY, member INTEGER NOT NULL REFERENCES member, site TEXT NOT NULL, name TEXT NOT NULL,
    client TEXT NOT NULL UNIQUE, enrolled_ms INTEGER NOT NULL, version INTEGER NOT NULL DEFAULT 0,
    revoked_ms INTEGER, UNIQUE (member, name)) STRICT;
INSERT INTO gateway (id, member, site, name, client, enrolled_ms)
    SELECT old_member.id, member.id, site, gateway, client, enrolled_ms
    FROM old_member JOIN member ON member.name = old_member.member;
ALTER TABLE term RENAME TO old_term;
CREATE TABLE term (
    gateway INTEGER NOT NULL REFERENCES gateway, place INTEGER NOT NULL, public TEXT NOT NULL,
    origin TEXT NOT NULL, since_ms INTEGER NOT NULL,
    event_first INTEGER NOT NULL, event_end INTEGER, scan_first INTEGER NOT NULL, scan_end INTEGER,
    PRIMARY KEY (gateway, place)) WITHOUT ROWID, STRICT;
INSERT INTO term SELECT * FROM old_term;
DROP TABLE old_term;
ALTER TABLE stream RENAME TO old_stream;
CREATE TABLE stream (
    gateway INTEGER NOT NULL REFERENCES gateway, stream INTEGER NOT NULL, size INTEGER NOT NULL DEFAULT 0,
    frontier BLOB NOT NULL DEFAULT x'0000000000000000',
    held INTEGER NOT NULL DEFAULT 0, hole_ms INTEGER, announced INTEGER NOT NULL DEFAULT 0,
    counted INTEGER NOT NULL DEFAULT 0, volume INTEGER NOT NULL DEFAULT 0, duplicates INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0, unreadable INTEGER NOT NULL DEFAULT 0,
    late INTEGER NOT NULL DEFAULT 0, late_max_ms INTEGER NOT NULL DEFAULT 0,
    clock_state INTEGER, clock_error_ms INTEGER, clock_ahead_ms INTEGER NOT NULL DEFAULT 0,
    sealed_ms INTEGER, received_ms INTEGER, receipt BLOB, receipt_ms INTEGER,
    PRIMARY KEY (gateway, stream)) WITHOUT ROWID, STRICT;
INSERT INTO stream SELECT member, stream = 'scan', 0, frontier, held, NULL, announced, "values", volume, duplicates,
    deleted, unreadable, late, late_max_ms, clock_state, clock_error_ms, clock_ahead_ms, sealed_ms, received_ms,
    receipt, receipt_ms FROM old_stream;
UPDATE stream SET size = (SELECT count(*) FROM batch WHERE batch.member = stream.gateway
    AND batch.stream = CASE stream.stream WHEN 0 THEN 'event' ELSE 'scan' END) - held;
INSERT INTO stream (gateway, stream) SELECT gateway.id, kind.value FROM gateway, json_each('[0, 1]') AS kind
    WHERE true ON CONFLICT DO NOTHING;
DROP TABLE old_stream;
ALTER TABLE batch RENAME TO old_batch;
CREATE TABLE batch (
    gateway INTEGER NOT NULL REFERENCES gateway, stream INTEGER NOT NULL, seq INTEGER NOT NULL,
    member INTEGER NOT NULL, leaf BLOB NOT NULL, sealed_ms INTEGER, received_ms INTEGER NOT NULL, body BLOB,
    PRIMARY KEY (gateway, stream, seq)) STRICT;
INSERT INTO batch SELECT old_batch.member, stream = 'scan', seq, gateway.member, leaf, sealed_ms, received_ms, body
    FROM old_batch JOIN gateway ON gateway.id = old_batch.member;
DROP TABLE old_batch;
ALTER TABLE fork RENAME TO old_fork;
CREATE TABLE fork (
    gateway INTEGER NOT NULL REFERENCES gateway, stream INTEGER NOT NULL, seq INTEGER NOT NULL, leaf BLOB NOT NULL,
    why TEXT NOT NULL, received_ms INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (gateway, stream, seq, leaf)) STRICT;
INSERT INTO fork SELECT member, stream = 'scan', seq, leaf, why, received_ms, body FROM old_fork;
DROP TABLE old_fork;
DROP TABLE old_member;

CREATE TABLE progress (
    gateway INTEGER PRIMARY KEY REFERENCES gateway, event_next INTEGER NOT NULL DEFAULT 0,
    scan_next INTEGER NOT NULL DEFAULT 0, memory TEXT NOT NULL DEFAULT '{}') STRICT;
INSERT INTO progress (gateway) SELECT id FROM gateway;
CREATE TABLE layout (
    gateway INTEGER NOT NULL REFERENCES gateway, name BLOB NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (gateway, name)) WITHOUT ROWID, STRICT;
CREATE TABLE boot (
    gateway INTEGER NOT NULL REFERENCES gateway, boot BLOB NOT NULL, offset_ms INTEGER NOT NULL,
    error_ms INTEGER NOT NULL, PRIMARY KEY (gateway, boot)) WITHOUT ROWID, STRICT;
CREATE TABLE event (
    member INTEGER NOT NULL, gateway INTEGER NOT NULL REFERENCES gateway, seq INTEGER NOT NULL, place INTEGER NOT NULL,
    boot BLOB NOT NULL, boot_ms INTEGER NOT NULL, utc_ms INTEGER, error_ms INTEGER,
    kind TEXT NOT NULL, point TEXT, data TEXT NOT NULL, PRIMARY KEY (gateway, seq, place)) STRICT;
CREATE INDEX event_time ON event (member, utc_ms);
CREATE INDEX event_point ON event (gateway, point, utc_ms) WHERE point IS NOT NULL;
CREATE TABLE alarm (
    member INTEGER NOT NULL, gateway INTEGER NOT NULL REFERENCES gateway, alarm TEXT NOT NULL, point TEXT, device TEXT,
    tier TEXT NOT NULL, state TEXT NOT NULL, active INTEGER NOT NULL, raised_ms INTEGER, changed_ms INTEGER,
    seq INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (gateway, alarm)) STRICT;
CREATE INDEX alarm_open ON alarm (member, tier) WHERE state <> 'normal';
CREATE TABLE point (
    member INTEGER NOT NULL, gateway INTEGER NOT NULL REFERENCES gateway, point TEXT NOT NULL, name TEXT NOT NULL,
    device TEXT NOT NULL, channel TEXT NOT NULL, critical INTEGER NOT NULL, settings TEXT NOT NULL,
    PRIMARY KEY (gateway, point)) STRICT;
CREATE TABLE channel (
    id INTEGER PRIMARY KEY, member INTEGER NOT NULL, gateway INTEGER NOT NULL REFERENCES gateway,
    device TEXT NOT NULL, channel TEXT NOT NULL, role TEXT NOT NULL, unit TEXT NOT NULL, decimals INTEGER,
    period_ms INTEGER NOT NULL, last_ms INTEGER, last_value REAL, last_quality INTEGER,
    UNIQUE (gateway, device, channel, role)) STRICT;
CREATE TABLE roll (
    member INTEGER NOT NULL, channel INTEGER NOT NULL REFERENCES channel, hour INTEGER NOT NULL,
    good INTEGER NOT NULL, uncertain INTEGER NOT NULL, bad INTEGER NOT NULL,
    low REAL, high REAL, total REAL NOT NULL, PRIMARY KEY (channel, hour)) WITHOUT ROWID, STRICT;
CREATE TABLE day (
    member INTEGER NOT NULL, channel INTEGER NOT NULL REFERENCES channel, day INTEGER NOT NULL,
    count INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (channel, day)) STRICT;
CREATE TABLE value (
    member INTEGER NOT NULL, channel INTEGER NOT NULL REFERENCES channel, utc_ms INTEGER NOT NULL,
    value REAL, quality INTEGER NOT NULL, PRIMARY KEY (channel, utc_ms)) WITHOUT ROWID, STRICT;
CREATE TABLE retention (
    member INTEGER NOT NULL REFERENCES member, point TEXT NOT NULL DEFAULT '', days INTEGER NOT NULL,
    PRIMARY KEY (member, point)) WITHOUT ROWID, STRICT;

CREATE TABLE request (
    thumbprint BLOB PRIMARY KEY, code TEXT NOT NULL, member TEXT NOT NULL, site TEXT NOT NULL, gateway TEXT NOT NULL,
    content TEXT NOT NULL, asked_ms INTEGER NOT NULL, state TEXT NOT NULL, decided_ms INTEGER, decided_by TEXT) STRICT;
CREATE TABLE certificate (
    serial TEXT PRIMARY KEY, client TEXT NOT NULL, pem TEXT NOT NULL, issued_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL, revoked_ms INTEGER, reason TEXT) STRICT;
CREATE INDEX certificate_client ON certificate (client);
CREATE TABLE checkpoint (
    size INTEGER PRIMARY KEY, root BLOB NOT NULL, note TEXT NOT NULL, at_ms INTEGER NOT NULL, leaves INTEGER NOT NULL) STRICT;
CREATE TABLE log_leaf (
    place INTEGER PRIMARY KEY, gateway INTEGER NOT NULL, stream INTEGER NOT NULL, size INTEGER NOT NULL,
    root BLOB NOT NULL, leaf BLOB NOT NULL) STRICT;
CREATE INDEX log_leaf_stream ON log_leaf (gateway, stream);
CREATE TABLE cosignature (
    size INTEGER NOT NULL, witness TEXT NOT NULL, line TEXT NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (size, witness)) WITHOUT ROWID, STRICT;
CREATE TABLE staff (name TEXT PRIMARY KEY, content TEXT NOT NULL) STRICT;
CREATE TABLE deed (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, person TEXT NOT NULL, what TEXT NOT NULL, data TEXT NOT NULL) STRICT;
CREATE TABLE handed (
    output TEXT NOT NULL, member INTEGER NOT NULL, place TEXT NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (output, member)) WITHOUT ROWID, STRICT;
