-- What is done regularly by whichever replica comes first; due_at is the next time, or the end of the lease of whoever does it.
CREATE TABLE duties (
  name TEXT PRIMARY KEY NOT NULL,
  due_at BIGINT NOT NULL,
  attempt BIGINT NOT NULL
);

-- By which receiver of Alertmanager each source delivered, and about when last.
CREATE TABLE receivers (
  source TEXT NOT NULL,
  receiver TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (source, receiver)
);

-- How quell knows of the opening or the end of an episode, where no webhook of Alertmanager said it.
CREATE TABLE evidence (
  episode BIGINT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  words TEXT NOT NULL,
  PRIMARY KEY (episode, at, kind)
);

-- Open episodes that Alertmanager did not list when it was last asked, and since when.
CREATE TABLE missing (
  episode BIGINT PRIMARY KEY NOT NULL,
  since BIGINT NOT NULL
);
