-- Whether the owner of an account has shown that its address is read by them.
ALTER TABLE accounts ADD COLUMN email_verified_at timestamptz;

-- How a session was opened, until when it lives if nobody uses it, and until when whatever happens (REF-05). The defaults
-- are for rows of the release before.
ALTER TABLE sessions
    ADD COLUMN method text NOT NULL DEFAULT '' CHECK (length(method) <= 60),
    ADD COLUMN network text NOT NULL DEFAULT '' CHECK (length(network) <= 60),
    ADD COLUMN agent text NOT NULL DEFAULT '' CHECK (length(agent) <= 120),
    ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN idle_until timestamptz NOT NULL DEFAULT now() + interval '30 days',
    ADD COLUMN expires_at timestamptz NOT NULL DEFAULT now() + interval '90 days';
CREATE INDEX sessions_open ON sessions (user_id, id) WHERE closed_at IS NULL;

-- How many rotations lie before a token: told when a used one comes again (REF-09).
ALTER TABLE refresh_tokens ADD COLUMN generation integer NOT NULL DEFAULT 0 CHECK (generation >= 0);

-- When and how somebody came in as a person, or tried to. The network is an address without its end, the agent the family
-- of a program.
CREATE TABLE sign_ins (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    workspace uuid NOT NULL,
    at timestamptz NOT NULL,
    method text NOT NULL CHECK (length(method) <= 60),
    network text NOT NULL CHECK (length(network) <= 60),
    agent text NOT NULL CHECK (length(agent) <= 120),
    session_id uuid
);
CREATE INDEX sign_ins_by_user ON sign_ins (user_id, id);
CREATE INDEX sign_ins_by_time ON sign_ins (at);
CREATE INDEX sign_ins_by_workspace ON sign_ins (workspace, user_id);

-- Tokens that were mailed: each does one thing, once.
CREATE TABLE mail_tokens (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    purpose text NOT NULL CHECK (purpose IN ('verify', 'reset')),
    user_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX mail_tokens_by_user ON mail_tokens (user_id, purpose);
CREATE INDEX mail_tokens_by_end ON mail_tokens (expires_at);

-- Wrong guesses, by the keyed hash of what was guessed at and from where. Shared by all replicas; a crash of the server
-- may forget them, which costs nothing but a few guesses more.
CREATE UNLOGGED TABLE guesses (
    key bytea PRIMARY KEY CHECK (length(key) = 32),
    failures integer NOT NULL CHECK (failures > 0),
    last_at timestamptz NOT NULL,
    forget_at timestamptz NOT NULL
);
CREATE INDEX guesses_by_end ON guesses (forget_at);

-- From where people came in before, by the keyed hash of address and network: others' wrong guesses do not keep them out.
CREATE TABLE known_places (
    place bytea PRIMARY KEY CHECK (length(place) = 32),
    user_id uuid NOT NULL,
    seen_at timestamptz NOT NULL
);
CREATE INDEX known_places_by_user ON known_places (user_id);
CREATE INDEX known_places_by_time ON known_places (seen_at);

SELECT causeway.create_revocations();
