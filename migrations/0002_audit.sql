-- The audit's log: every record is a leaf of one append-only Merkle tree (RFC 6962). `logged` is 0 until it is, then the number
-- of its leaf and 1: 1 is the first. The default lets an older quell go on writing beside a newer one.

ALTER TABLE run_events ADD COLUMN logged BIGINT NOT NULL DEFAULT 0;
ALTER TABLE decisions ADD COLUMN logged BIGINT NOT NULL DEFAULT 0;
ALTER TABLE trust ADD COLUMN logged BIGINT NOT NULL DEFAULT 0;
ALTER TABLE glass ADD COLUMN logged BIGINT NOT NULL DEFAULT 0;
ALTER TABLE changes ADD COLUMN logged BIGINT NOT NULL DEFAULT 0;
ALTER TABLE windows ADD COLUMN logged BIGINT NOT NULL DEFAULT 0;
CREATE INDEX run_events_unlogged ON run_events (run, seq) WHERE logged = 0;
CREATE INDEX decisions_unlogged ON decisions (id) WHERE logged = 0;
CREATE INDEX trust_unlogged ON trust (id) WHERE logged = 0;
CREATE INDEX glass_unlogged ON glass (id) WHERE logged = 0;
CREATE INDEX changes_unlogged ON changes (id) WHERE logged = 0;
CREATE INDEX windows_unlogged ON windows (id) WHERE logged = 0;

-- Leaves from 0. `record` is empty where the record has a row of its own that stays as long as the leaf.
CREATE TABLE log_leaves (
  leaf BIGINT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL,
  id BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  hash TEXT NOT NULL,
  record TEXT NOT NULL
);
CREATE UNIQUE INDEX log_leaves_record ON log_leaves (kind, id, seq);
CREATE INDEX log_leaves_at ON log_leaves (at, leaf);

-- One row: how large the log is, and its peaks (the roots of its complete subtrees, hexadecimal, with spaces between); and how
-- many leaves of its beginning were pruned, and their peaks.
CREATE TABLE log (
  name TEXT PRIMARY KEY NOT NULL,
  size BIGINT NOT NULL,
  peaks TEXT NOT NULL,
  pruned BIGINT NOT NULL,
  pruned_peaks TEXT NOT NULL
);
INSERT INTO log (name, size, peaks, pruned, pruned_peaks) VALUES ('log', 0, '', 0, '');

-- Signed notes; `anchored` is 1 once one this large was written outside the database.
CREATE TABLE checkpoints (
  size BIGINT PRIMARY KEY NOT NULL,
  note TEXT NOT NULL,
  at BIGINT NOT NULL,
  anchored BIGINT NOT NULL DEFAULT 0
);

-- What is wrong with the audit, until it verifies again or a person accepts it.
CREATE TABLE audit_findings (
  place TEXT NOT NULL,
  what TEXT NOT NULL,
  since BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  accepted_by TEXT NOT NULL DEFAULT '',
  accepted_at BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (place, what)
);
INSERT INTO counters (name, value) VALUES ('key', 0);
