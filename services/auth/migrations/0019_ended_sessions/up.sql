-- Serve the deletion of what has ended. Nothing here is written by a refresh.
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);
CREATE INDEX sessions_by_end ON sessions (expires_at);
CREATE INDEX sessions_by_close ON sessions (closed_at) WHERE closed_at IS NOT NULL;
