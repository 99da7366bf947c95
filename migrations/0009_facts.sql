-- What guards judge by beside runs, with a version of its own: a judgement that only other runs have overtaken is made again
-- where its run is created. And indexes for what is asked again and again.
INSERT INTO scopes (name, version) VALUES ('facts', 0);
CREATE INDEX runs_target ON runs (target, started_at);
CREATE INDEX episodes_from ON episodes (source, id) WHERE is_open = 1;
