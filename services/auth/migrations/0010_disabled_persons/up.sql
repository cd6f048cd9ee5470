-- Persons who are kept out, however they come in: by an account, by an identity, or by what they gave to programs. Belongs to
-- a person, who may be in many workspaces: no workspace_id, no policy.
CREATE TABLE disabled_persons (
    user_id uuid PRIMARY KEY,
    disabled_at timestamptz NOT NULL,
    disabled_by text NOT NULL CHECK (length(disabled_by) BETWEEN 1 AND 64),
    reason text NOT NULL CHECK (length(reason) <= 200)
);
