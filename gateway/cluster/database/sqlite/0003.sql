-- What the follower needs beside the tables that people read.
ALTER TABLE progress ADD COLUMN round INTEGER NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN worked_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN open_day INTEGER;
ALTER TABLE progress ADD COLUMN late INTEGER NOT NULL DEFAULT 0;
-- The days that still grow: a piece for each round of the follower, made one row of "day" when the day is over.
CREATE TABLE chunk (
    member INTEGER NOT NULL, channel INTEGER NOT NULL REFERENCES channel, day INTEGER NOT NULL, place INTEGER NOT NULL,
    count INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (channel, day, place)) WITHOUT ROWID, STRICT;
CREATE TABLE setting (
    member INTEGER NOT NULL, gateway INTEGER NOT NULL REFERENCES gateway, path TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (gateway, path)) WITHOUT ROWID, STRICT;
-- Batches that are in the tree but not, or not wholly, in the tables, and what they wait for.
CREATE TABLE unread (
    member INTEGER NOT NULL, gateway INTEGER NOT NULL REFERENCES gateway, stream INTEGER NOT NULL, seq INTEGER NOT NULL,
    why TEXT NOT NULL, need BLOB, PRIMARY KEY (gateway, stream, seq)) WITHOUT ROWID, STRICT;
-- Bodies that retention took out of the evidence: batches "first" to "last" of a stream, whose leaves stay.
CREATE TABLE erased (
    member INTEGER NOT NULL, gateway INTEGER NOT NULL REFERENCES gateway, stream INTEGER NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, bytes INTEGER NOT NULL, days INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (gateway, stream, first)) WITHOUT ROWID, STRICT;
