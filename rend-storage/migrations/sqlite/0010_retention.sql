-- What is old is found without reading what is not.
CREATE INDEX assets_deleted ON assets (updated_at, id) WHERE source = 'deleted';
CREATE INDEX jobs_ended ON jobs (updated_at, id) WHERE state IN ('succeeded', 'failed');
CREATE INDEX uploads_ended ON uploads (expires_at, id) WHERE state <> 'open';
CREATE INDEX player_events_by_time ON player_events (at, view, seq);
