-- What the follower needs beside the tables that people read.
ALTER TABLE progress ADD COLUMN round bigint NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN worked_ms bigint NOT NULL DEFAULT 0;
ALTER TABLE progress ADD COLUMN open_day bigint;
ALTER TABLE progress ADD COLUMN late bigint NOT NULL DEFAULT 0;
-- The days that still grow: a piece for each round of the follower, made one row of "day" when the day is over.
CREATE TABLE chunk (
    member bigint NOT NULL, channel bigint NOT NULL REFERENCES channel, day bigint NOT NULL, place bigint NOT NULL,
    count bigint NOT NULL, body bytea NOT NULL, PRIMARY KEY (channel, day, place));
CREATE TABLE setting (
    member bigint NOT NULL, gateway bigint NOT NULL REFERENCES gateway, path text NOT NULL, value text NOT NULL,
    PRIMARY KEY (gateway, path));
-- Batches that are in the tree but not, or not wholly, in the tables, and what they wait for.
CREATE TABLE unread (
    member bigint NOT NULL, gateway bigint NOT NULL REFERENCES gateway, stream bigint NOT NULL, seq bigint NOT NULL,
    why text NOT NULL, need bytea, PRIMARY KEY (gateway, stream, seq));
-- Bodies that retention took out of the evidence: batches "first" to "last" of a stream, whose leaves stay.
CREATE TABLE erased (
    member bigint NOT NULL, gateway bigint NOT NULL REFERENCES gateway, stream bigint NOT NULL, first bigint NOT NULL,
    last bigint NOT NULL, bytes bigint NOT NULL, days bigint NOT NULL, at_ms bigint NOT NULL,
    PRIMARY KEY (gateway, stream, first));
ALTER TABLE day ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE chunk ALTER COLUMN body SET STORAGE EXTERNAL;
