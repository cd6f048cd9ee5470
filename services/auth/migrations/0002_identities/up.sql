-- Persons whom an identity provider proves. The key is what the provider never changes; an address is no part of it.
CREATE TABLE identities (
    provider text NOT NULL,
    issuer text NOT NULL CHECK (length(issuer) BETWEEN 1 AND 2048),
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
    user_id uuid NOT NULL UNIQUE,
    state text NOT NULL CHECK (state IN ('pending', 'active')),
    home_workspace uuid NOT NULL,
    first_seen_at timestamptz NOT NULL,
    PRIMARY KEY (provider, issuer, subject)
);

-- A person has an account, or an identity, or both.
ALTER TABLE sessions DROP CONSTRAINT sessions_user_id_fkey;

-- Tokens of others that became a refresh token here: each does so once. A row is of no use after its token's end.
CREATE TABLE used_proofs (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    expires_at timestamptz NOT NULL
);
CREATE INDEX used_proofs_by_end ON used_proofs (expires_at);
