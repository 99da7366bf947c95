-- One text for SQLite and PostgreSQL: TEXT and BIGINT only. Instants are microseconds since 1970, UTC;
-- 0 means none, and 9223372036854775807 in due_at means never. Booleans are 0 and 1.
--
-- due_at is when somebody should look: a wait, or the end of the lease of whoever looks now. `leased` (in runs: `owner`)
-- tells the two apart, so that a process that has the database for itself takes over at once what a dead one held.

CREATE TABLE counters (
  name TEXT PRIMARY KEY NOT NULL,
  value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES
  ('episode', 0), ('incident', 0), ('decision', 0), ('run', 0), ('outbox', 0), ('heartbeat', 0);

-- Facts that guards judge by carry the version of their scope; a run is created only if it is unchanged.
CREATE TABLE scopes (
  name TEXT PRIMARY KEY NOT NULL,
  version BIGINT NOT NULL
);
INSERT INTO scopes (name, version) VALUES ('runs', 0);

CREATE TABLE episodes (
  id BIGINT PRIMARY KEY NOT NULL,
  fingerprint TEXT NOT NULL,
  source TEXT NOT NULL,
  labels TEXT NOT NULL,
  annotations TEXT NOT NULL,
  generator_url TEXT NOT NULL,
  is_open BIGINT NOT NULL,
  starts_at BIGINT NOT NULL,
  opened_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  reopened BIGINT NOT NULL,
  truncated BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  leased BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX episodes_one_open ON episodes (fingerprint) WHERE is_open = 1;
CREATE INDEX episodes_latest ON episodes (fingerprint, id);
CREATE INDEX episodes_due ON episodes (due_at);

CREATE TABLE incidents (
  id BIGINT PRIMARY KEY NOT NULL,
  rule TEXT NOT NULL,
  group_key TEXT NOT NULL,
  title TEXT NOT NULL,
  severity TEXT NOT NULL,
  labels TEXT NOT NULL,
  status TEXT NOT NULL,
  escalated BIGINT NOT NULL,
  opened_at BIGINT NOT NULL,
  resolved_at BIGINT NOT NULL,
  acked_by TEXT NOT NULL,
  acked_at BIGINT NOT NULL,
  taken_by TEXT NOT NULL DEFAULT '',
  taken_at BIGINT NOT NULL DEFAULT 0,
  given_back_at BIGINT NOT NULL DEFAULT 0,
  held_until BIGINT NOT NULL DEFAULT 0,
  flapping BIGINT NOT NULL DEFAULT 0,
  ack_within BIGINT NOT NULL DEFAULT 0,
  due_at BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  leased BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX incidents_one_open ON incidents (rule, group_key) WHERE status <> 'resolved';
CREATE INDEX incidents_due ON incidents (due_at);
CREATE INDEX incidents_group ON incidents (rule, group_key, id);

CREATE TABLE incident_episodes (
  incident BIGINT NOT NULL,
  episode BIGINT NOT NULL,
  PRIMARY KEY (incident, episode)
);
CREATE INDEX incident_episodes_episode ON incident_episodes (episode);

CREATE TABLE decisions (
  id BIGINT PRIMARY KEY NOT NULL,
  episode BIGINT NOT NULL,
  incident BIGINT NOT NULL,
  rule TEXT NOT NULL,
  verdict TEXT NOT NULL,
  reason TEXT NOT NULL,
  body TEXT NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX decisions_episode ON decisions (episode, rule, id);

CREATE TABLE runs (
  id BIGINT PRIMARY KEY NOT NULL,
  incident BIGINT NOT NULL,
  episode BIGINT NOT NULL,
  rule TEXT NOT NULL,
  playbook TEXT NOT NULL,
  target TEXT NOT NULL,
  service TEXT NOT NULL,
  redundancy_group TEXT NOT NULL,
  left_version TEXT NOT NULL,
  remedy BIGINT NOT NULL,
  round BIGINT NOT NULL,
  state TEXT NOT NULL,
  is_final BIGINT NOT NULL,
  inconclusive BIGINT NOT NULL,
  outcome TEXT NOT NULL,
  plan TEXT NOT NULL,
  digest TEXT NOT NULL,
  seq BIGINT NOT NULL,
  head TEXT NOT NULL,
  cancelled_by TEXT NOT NULL,
  owner TEXT NOT NULL,
  attempt BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX runs_once ON runs (episode, rule, remedy, round);
CREATE UNIQUE INDEX runs_one_active ON runs (target) WHERE is_final = 0;
CREATE INDEX runs_due ON runs (due_at);
CREATE INDEX runs_incident ON runs (incident, id);
CREATE INDEX runs_started ON runs (started_at);
CREATE INDEX runs_failed ON runs (ended_at) WHERE state IN ('failed', 'stuck');

-- The journal: each hash covers the one before it, so an edited, dropped or reordered event shows.
CREATE TABLE run_events (
  run BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  body TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (run, seq)
);

-- `origin` is the first row of the notice: the same for every channel, and for those told instead of one that failed.
CREATE TABLE outbox (
  id BIGINT PRIMARY KEY NOT NULL,
  origin BIGINT NOT NULL,
  fell_back BIGINT NOT NULL DEFAULT 0,
  incident BIGINT NOT NULL,
  kind TEXT NOT NULL,
  channel TEXT NOT NULL,
  recipient TEXT NOT NULL,
  body TEXT NOT NULL,
  state TEXT NOT NULL,
  tries BIGINT NOT NULL,
  error TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  ended_at BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  leased BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX outbox_once ON outbox (origin, channel, recipient);
CREATE INDEX outbox_due ON outbox (due_at);
CREATE INDEX outbox_order ON outbox (incident, channel, recipient, id);
CREATE INDEX outbox_state ON outbox (state, id);

CREATE TABLE pauses (
  scope TEXT PRIMARY KEY NOT NULL,
  by_whom TEXT NOT NULL,
  reason TEXT NOT NULL,
  at BIGINT NOT NULL
);

CREATE TABLE checks (
  name TEXT PRIMARY KEY NOT NULL,
  due_at BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  health TEXT NOT NULL,
  streak BIGINT NOT NULL,
  is_firing BIGINT NOT NULL,
  is_blind BIGINT NOT NULL,
  measured TEXT NOT NULL,
  at BIGINT NOT NULL
);

-- The next slot of each schedule, and when it begins: later by its jitter, or by the end of the lease of whoever begins it.
CREATE TABLE schedules (
  name TEXT PRIMARY KEY NOT NULL,
  cron TEXT NOT NULL,
  slot BIGINT NOT NULL,
  waits BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  last_slot BIGINT NOT NULL,
  skipped BIGINT NOT NULL,
  note TEXT NOT NULL,
  leased BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE used_links (
  digest TEXT PRIMARY KEY NOT NULL,
  by_whom TEXT NOT NULL,
  at BIGINT NOT NULL
);

-- Which targets came into trouble when: how many of them makes a storm.
CREATE TABLE troubles (
  episode BIGINT NOT NULL,
  rule TEXT NOT NULL,
  target TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (episode, rule)
);
CREATE INDEX troubles_at ON troubles (at);
CREATE INDEX troubles_rule ON troubles (rule);

-- Breakers that have tripped: `storm`, or the group of a rule; `body` says how the group is counted.
CREATE TABLE trips (
  scope TEXT PRIMARY KEY NOT NULL,
  since BIGINT NOT NULL,
  calm_since BIGINT NOT NULL,
  body TEXT NOT NULL
);

-- The most members of a population that were counted in an hour.
CREATE TABLE populations (
  scope TEXT NOT NULL,
  hour BIGINT NOT NULL,
  total BIGINT NOT NULL,
  PRIMARY KEY (scope, hour)
);

-- The last time that something was seen: the watchdog alert, the wall clock.
CREATE TABLE marks (
  name TEXT PRIMARY KEY NOT NULL,
  at BIGINT NOT NULL
);

-- Times that the wall clock was set.
CREATE TABLE jumps (
  at BIGINT NOT NULL,
  by_ms BIGINT NOT NULL
);
CREATE INDEX jumps_at ON jumps (at);
-- Credentials that were refused: what uses one waits until a person clears it, or its mark (a keyed digest) changes.
CREATE TABLE denied (
  credential TEXT PRIMARY KEY NOT NULL,
  at BIGINT NOT NULL,
  reason TEXT NOT NULL,
  run BIGINT NOT NULL,
  playbook TEXT NOT NULL,
  mark TEXT NOT NULL,
  cleared_at BIGINT NOT NULL,
  cleared_by TEXT NOT NULL
);

-- Recipients that the last delivery did not reach.
CREATE TABLE channel_troubles (
  channel TEXT NOT NULL,
  recipient TEXT NOT NULL,
  reason TEXT NOT NULL,
  since BIGINT NOT NULL,
  gave_up BIGINT NOT NULL,
  PRIMARY KEY (channel, recipient)
);

-- What is fixed too often: told once in the span of the limit.
CREATE TABLE chronic (
  rule TEXT NOT NULL,
  target TEXT NOT NULL,
  summary TEXT NOT NULL,
  told_at BIGINT NOT NULL,
  over_at BIGINT NOT NULL,
  PRIMARY KEY (rule, target)
);
CREATE INDEX runs_fixed ON runs (ended_at) WHERE state = 'fixed';
-- Windows that operators added beside those of quell.yml. One that ended early has ended_by, and until_at is when it did.
CREATE TABLE windows (
  id BIGINT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  effect TEXT NOT NULL,
  matchers TEXT NOT NULL,
  reason TEXT NOT NULL,
  by_whom TEXT NOT NULL,
  at BIGINT NOT NULL,
  from_at BIGINT NOT NULL,
  until_at BIGINT NOT NULL,
  ended_by TEXT NOT NULL
);
CREATE INDEX windows_until ON windows (until_at);
INSERT INTO counters (name, value) VALUES ('window', 0);

-- "Somebody changed this target": automation leaves it alone for a while.
CREATE TABLE changes (
  id BIGINT PRIMARY KEY NOT NULL,
  target TEXT NOT NULL,
  by_whom TEXT NOT NULL,
  reason TEXT NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX changes_at ON changes (at);
INSERT INTO counters (name, value) VALUES ('change', 0);

-- How far rules are trusted: a line for each demotion and promotion; the last one of a rule holds.
CREATE TABLE trust (
  id BIGINT PRIMARY KEY NOT NULL,
  rule TEXT NOT NULL,
  mode TEXT NOT NULL,
  why TEXT NOT NULL,
  by_whom TEXT NOT NULL,
  at BIGINT NOT NULL
);
CREATE INDEX trust_rule ON trust (rule, id);
INSERT INTO counters (name, value) VALUES ('trust', 0);
CREATE INDEX runs_rule ON runs (rule, started_at);
-- Break-glass: who lifted what, why and until when. Kept for ever; `over` is 1 once people were told that it ended.
CREATE TABLE glass (
  id BIGINT PRIMARY KEY NOT NULL,
  scope TEXT NOT NULL,
  by_whom TEXT NOT NULL,
  reason TEXT NOT NULL,
  at BIGINT NOT NULL,
  until_at BIGINT NOT NULL,
  incident BIGINT NOT NULL,
  ended_at BIGINT NOT NULL DEFAULT 0,
  ended_by TEXT NOT NULL DEFAULT '',
  over BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX glass_over ON glass (over, until_at);
INSERT INTO counters (name, value) VALUES ('glass', 0);
