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
  ('episode', 0), ('incident', 0), ('decision', 0), ('run', 0), ('outbox', 0);

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
  ack_within BIGINT NOT NULL DEFAULT 0,
  due_at BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  leased BIGINT NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX incidents_one_open ON incidents (rule, group_key) WHERE status <> 'resolved';
CREATE INDEX incidents_due ON incidents (due_at);

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

-- The journal: each hash covers the one before it, so an edited, dropped or reordered event shows.
CREATE TABLE run_events (
  run BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  at BIGINT NOT NULL,
  body TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (run, seq)
);

CREATE TABLE outbox (
  id BIGINT PRIMARY KEY NOT NULL,
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
