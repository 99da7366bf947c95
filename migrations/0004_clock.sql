-- Time that goes on whatever the wall clock does: what quell's clock showed last in each start of each machine, and how
-- long that was after it.
CREATE TABLE clock (
  boot TEXT PRIMARY KEY NOT NULL,
  at BIGINT NOT NULL,
  since_boot BIGINT NOT NULL
);

-- Jumps of the wall clock are numbered: all instants in tables are of the era after the last one. `runs.era` is the last jump
-- that a run's journal knows of.
INSERT INTO counters (name, value) VALUES ('era', 0);
ALTER TABLE jumps ADD COLUMN era BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN era BIGINT NOT NULL DEFAULT 0;

-- Evidence under the audit's log stays as it was written: these are the microseconds by which its instants are to be moved.
ALTER TABLE glass ADD COLUMN moved BIGINT NOT NULL DEFAULT 0;
ALTER TABLE changes ADD COLUMN moved BIGINT NOT NULL DEFAULT 0;
