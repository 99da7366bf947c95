-- Incidents of which people are told every so often: how often they were, and when they are next.
CREATE TABLE updates (
  incident BIGINT PRIMARY KEY NOT NULL,
  number BIGINT NOT NULL,
  due_at BIGINT NOT NULL
);
