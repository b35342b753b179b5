-- A member's hours beside each other. Members are kept apart by PostgreSQL alone: a file has no users.
CREATE INDEX roll_member ON roll (member, hour);
