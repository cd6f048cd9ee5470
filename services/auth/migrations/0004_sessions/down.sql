DROP TABLE revocations, known_places, guesses, mail_tokens, sign_ins;
ALTER TABLE refresh_tokens DROP COLUMN generation;
DROP INDEX sessions_open;
ALTER TABLE sessions
    DROP COLUMN method,
    DROP COLUMN network,
    DROP COLUMN agent,
    DROP COLUMN last_used_at,
    DROP COLUMN idle_until,
    DROP COLUMN expires_at;
ALTER TABLE accounts DROP COLUMN email_verified_at;
