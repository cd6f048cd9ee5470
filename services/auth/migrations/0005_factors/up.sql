SELECT causeway.create_key_fences();

-- The seeds of second factors, sealed under the data key of their person's home workspace. What else there is to know of a
-- factor lies below, with the person: a login has to know that there is one before it knows a workspace, and goes on
-- asking for it, a recovery code then, when the workspace and with it the seed are erased.
CREATE TABLE factors (
    workspace_id uuid NOT NULL,
    user_id uuid NOT NULL,
    seed causeway.envelope NOT NULL,
    key_version integer NOT NULL CHECK (key_version > 0),
    PRIMARY KEY (workspace_id, user_id)
);
SELECT causeway.enable_workspace_policy('factors');
SELECT causeway.fence_sealed('factors');

CREATE TABLE second_factors (
    user_id uuid PRIMARY KEY,
    enrolment uuid NOT NULL,
    seed_workspace uuid NOT NULL,
    enrolled_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    -- The step of the last code that was used: a code works once.
    last_step bigint NOT NULL
);

CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES second_factors ON DELETE CASCADE,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    used_at timestamptz,
    PRIMARY KEY (user_id, hash)
);

-- Outlives the factor: who enrols anew has no more tries for it.
CREATE TABLE factor_tries (
    user_id uuid PRIMARY KEY,
    recent timestamptz[] NOT NULL,
    locks integer NOT NULL CHECK (locks >= 0),
    locked_until timestamptz
);

-- Sessions and personal access tokens that passed a second factor, by their ids.
CREATE TABLE passed_factors (
    credential uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    passed_by text NOT NULL CHECK (passed_by IN ('totp', 'provider')),
    passed_at timestamptz NOT NULL
);
CREATE INDEX passed_factors_by_user ON passed_factors (user_id);
