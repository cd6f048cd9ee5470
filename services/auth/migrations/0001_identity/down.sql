DROP TABLE outbox;
DROP TABLE token_index;
DROP TABLE tokens;
DROP TABLE refresh_tokens;
DROP TABLE sessions;
DROP TABLE accounts;
