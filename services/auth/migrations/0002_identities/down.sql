DROP TABLE used_proofs;
DROP TABLE identities;
-- Nobody is left who could refresh these.
DELETE FROM sessions WHERE NOT EXISTS (SELECT FROM accounts WHERE accounts.user_id = sessions.user_id);
ALTER TABLE sessions ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES accounts;
