-- What ended long ago is found without reading what did not.
CREATE INDEX incidents_resolved ON incidents (resolved_at) WHERE status = 'resolved';
CREATE INDEX episodes_seen ON episodes (seen_at) WHERE is_open = 0;
CREATE INDEX used_links_at ON used_links (at);
