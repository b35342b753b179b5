-- Members apart. Every table is shut by row-level security (`shut.py` sees to it, also for tables to come). A member's
-- own role, aurora_m<ID>, reads what the policies below let through, and only by the views of aurora_read.
CREATE INDEX roll_member ON roll (member, hour);
CREATE INDEX value_member ON value (member, utc_ms);
DO $$
DECLARE
    -- A sub-select is computed once a query; the role of nobody's gives NULL, and NULL is equal to nothing.
    me CONSTANT text := '(SELECT CAST(substring(CAST(current_user AS text) FROM ''^aurora_m([1-9][0-9]{0,17})$'') AS bigint))';
    mine CONSTANT text := format('ARRAY(SELECT id FROM gateway WHERE member = %s)', me);
    place text;
BEGIN
    EXECUTE format('CREATE POLICY apart ON member FOR SELECT USING (id = %s)', me);
    FOREACH place IN ARRAY ARRAY['gateway', 'batch', 'event', 'alarm', 'point', 'channel',
            'roll', 'day', 'chunk', 'value', 'retention',
            'erased'] LOOP
        EXECUTE format('CREATE POLICY apart ON %I FOR SELECT USING (member = %s)', place, me);
    END LOOP;
    FOREACH place IN ARRAY ARRAY['term', 'stream', 'fork'] LOOP
        EXECUTE format('CREATE POLICY apart ON %I FOR SELECT USING (gateway = ANY (%s))', place, mine);
    END LOOP;
    -- The planner's estimates, which EXPLAIN shows to everybody, are made from samples of all members' rows: no
    -- samples of names and texts, by which one could ask whether somebody has a site of that name.
    FOREACH place IN ARRAY ARRAY['gateway', 'event', 'alarm', 'point', 'channel', 'retention', 'term'] LOOP
        EXECUTE (
            SELECT format('ALTER TABLE %I %s', place, string_agg(format('ALTER COLUMN %I SET STATISTICS 0', attname), ', '))
            FROM pg_attribute
            WHERE attrelid = to_regclass(place) AND attnum > 0 AND NOT attisdropped AND atttypid = 'text'::regtype);
    END LOOP;
END $$;
CREATE SCHEMA aurora_read;
CREATE VIEW aurora_read.company WITH (security_invoker, security_barrier) AS SELECT id, name FROM member;
CREATE VIEW aurora_read.gateway WITH (security_invoker, security_barrier) AS
    SELECT id, site, name, enrolled_ms, revoked_ms FROM gateway;
CREATE VIEW aurora_read.point WITH (security_invoker, security_barrier) AS
    SELECT gateway, point, name, device, channel, critical, settings FROM point;
CREATE VIEW aurora_read.channel WITH (security_invoker, security_barrier) AS
    SELECT id, gateway, device, channel, role, unit, decimals, period_ms, last_ms, last_value, last_quality FROM channel;
CREATE VIEW aurora_read.alarm WITH (security_invoker, security_barrier) AS
    SELECT gateway, alarm, point, device, tier, state, active, raised_ms, changed_ms, seq, data FROM alarm;
CREATE VIEW aurora_read.event WITH (security_invoker, security_barrier) AS
    SELECT gateway, seq, place, boot, boot_ms, utc_ms, error_ms, kind, point, data FROM event;
CREATE VIEW aurora_read.hour WITH (security_invoker, security_barrier) AS
    SELECT channel, hour, good, uncertain, bad, low, high, total FROM roll;
CREATE VIEW aurora_read.day WITH (security_invoker, security_barrier) AS SELECT channel, day, count, body FROM day;
CREATE VIEW aurora_read.chunk WITH (security_invoker, security_barrier) AS
    SELECT channel, day, place, count, body FROM chunk;
CREATE VIEW aurora_read.erased WITH (security_invoker, security_barrier) AS
    SELECT gateway, stream, first, last, bytes, days, at_ms FROM erased;
CREATE VIEW aurora_read.value WITH (security_invoker, security_barrier) AS
    SELECT channel, utc_ms, value, quality FROM value;
CREATE VIEW aurora_read.retention WITH (security_invoker, security_barrier) AS SELECT point, days FROM retention;
CREATE VIEW aurora_read.batch WITH (security_invoker, security_barrier) AS
    SELECT gateway, stream, seq, leaf, sealed_ms, received_ms, body FROM batch;
CREATE VIEW aurora_read.stream WITH (security_invoker, security_barrier) AS
    SELECT gateway, stream, size, held, announced, counted, duplicates, deleted, late, late_max_ms, clock_state,
        clock_error_ms, sealed_ms, received_ms, receipt, receipt_ms FROM stream;
CREATE VIEW aurora_read.term WITH (security_invoker, security_barrier) AS
    SELECT gateway, place, public, origin, since_ms, event_first, event_end, scan_first, scan_end FROM term;
CREATE VIEW aurora_read.fork WITH (security_invoker, security_barrier) AS
    SELECT gateway, stream, seq, leaf, why, received_ms, body FROM fork;
-- The receivers' role owns nothing, so the owner's right to add a month is lent by this function.
CREATE FUNCTION add_month(name text, first bigint, last bigint) RETURNS void LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = aurora, pg_temp AS $$
BEGIN
    IF name !~ '^batch_[0-9]{4}_[0-9]{2}$' THEN
        RAISE EXCEPTION 'no name of a month: %', name;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF batch FOR VALUES FROM (%s) TO (%s)', name, first, last);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
END $$;
REVOKE EXECUTE ON FUNCTION add_month(text, bigint, bigint) FROM PUBLIC;
-- Receivers take out what waits behind a hole. What the tree has counted stays.
CREATE FUNCTION keep_evidence() RETURNS trigger LANGUAGE plpgsql SET search_path = aurora, pg_temp AS $$
BEGIN
    IF old.seq < (SELECT size FROM stream WHERE stream.gateway = old.gateway AND stream.stream = old.stream) THEN
        RAISE EXCEPTION 'batch % of stream % of gateway % is in the tree, and stays', old.seq, old.stream, old.gateway
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN old;
END $$;
REVOKE EXECUTE ON FUNCTION keep_evidence() FROM PUBLIC;
CREATE TRIGGER keep_evidence BEFORE DELETE ON batch FOR EACH ROW
    WHEN (current_user = 'aurora_service') EXECUTE FUNCTION keep_evidence();
