DROP INDEX sessions_by_close;
DROP INDEX sessions_by_end;
DROP INDEX refresh_tokens_by_end;
