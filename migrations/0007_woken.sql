-- A run that is worked on while a person ends what it may be held for is not let go of until that would have ended.
ALTER TABLE runs ADD COLUMN woken BIGINT NOT NULL DEFAULT 0;
