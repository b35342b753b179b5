-- The store of the path's receiver, as it was before there was an engine to choose.
CREATE TABLE member (
    id INTEGER PRIMARY KEY, member TEXT NOT NULL, site TEXT NOT NULL, gateway TEXT NOT NULL,
    client TEXT NOT NULL UNIQUE, enrolled_ms INTEGER NOT NULL, UNIQUE (member, gateway)) STRICT;
CREATE TABLE term (
    member INTEGER NOT NULL REFERENCES member, place INTEGER NOT NULL, public TEXT NOT NULL,
    origin TEXT NOT NULL, since_ms INTEGER NOT NULL,
    event_first INTEGER NOT NULL, event_end INTEGER, scan_first INTEGER NOT NULL, scan_end INTEGER,
    PRIMARY KEY (member, place)) WITHOUT ROWID, STRICT;
CREATE TABLE stream (
    member INTEGER NOT NULL REFERENCES member, stream TEXT NOT NULL, frontier BLOB NOT NULL,
    held INTEGER NOT NULL, announced INTEGER NOT NULL, "values" INTEGER NOT NULL, volume INTEGER NOT NULL,
    duplicates INTEGER NOT NULL, deleted INTEGER NOT NULL, unreadable INTEGER NOT NULL,
    late INTEGER NOT NULL, late_max_ms INTEGER NOT NULL,
    clock_state INTEGER, clock_error_ms INTEGER, clock_ahead_ms INTEGER NOT NULL,
    sealed_ms INTEGER, received_ms INTEGER, receipt BLOB, receipt_ms INTEGER,
    PRIMARY KEY (member, stream)) WITHOUT ROWID, STRICT;
CREATE TABLE batch (
    member INTEGER NOT NULL REFERENCES member, stream TEXT NOT NULL, seq INTEGER NOT NULL,
    leaf BLOB NOT NULL, sealed_ms INTEGER, received_ms INTEGER NOT NULL, body BLOB,
    PRIMARY KEY (member, stream, seq)) STRICT;
CREATE TABLE fork (
    member INTEGER NOT NULL REFERENCES member, stream TEXT NOT NULL, seq INTEGER NOT NULL, leaf BLOB NOT NULL,
    why TEXT NOT NULL, received_ms INTEGER NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (member, stream, seq, leaf)) STRICT;
CREATE TABLE rejected (
    client TEXT NOT NULL, stream TEXT NOT NULL, reason TEXT NOT NULL, times INTEGER NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, seq INTEGER, what TEXT NOT NULL,
    PRIMARY KEY (client, stream, reason)) WITHOUT ROWID, STRICT;
