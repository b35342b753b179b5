-- What the page for staff shows of many gateways at once and could not read at every look: gathered now and then.
CREATE TABLE glance (
    gateway bigint PRIMARY KEY REFERENCES gateway, expected bigint NOT NULL, got bigint NOT NULL,
    calibration_ms bigint, calibration text, certificate_ms bigint, gathered_ms bigint NOT NULL);
CREATE INDEX event_calibration ON event (gateway, utc_ms) WHERE kind = 'record.calibration';
CREATE INDEX gateway_member ON gateway (member, site, name);
CREATE INDEX deed_time ON deed (at_ms);
