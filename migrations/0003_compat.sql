-- The oldest quell that may still use the database, by the newest migration that it knows. A migration that only adds leaves
-- it as it is, so that replicas are upgraded one after another; one that older versions could not work with raises it.
CREATE TABLE compat (
  name TEXT PRIMARY KEY NOT NULL,
  value BIGINT NOT NULL
);
INSERT INTO compat (name, value) VALUES ('oldest', 1);
