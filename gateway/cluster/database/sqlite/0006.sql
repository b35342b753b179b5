-- What the page for staff shows of many gateways at once and could not read at every look: gathered now and then.
CREATE TABLE glance (
    gateway INTEGER PRIMARY KEY REFERENCES gateway, expected INTEGER NOT NULL, got INTEGER NOT NULL,
    calibration_ms INTEGER, calibration TEXT, certificate_ms INTEGER, gathered_ms INTEGER NOT NULL) STRICT;
CREATE INDEX event_calibration ON event (gateway, utc_ms) WHERE kind = 'record.calibration';
CREATE INDEX gateway_member ON gateway (member, site, name);
CREATE INDEX deed_time ON deed (at_ms);
