CREATE TABLE exports (
    workspace_id uuid NOT NULL REFERENCES workspaces (workspace_id) ON DELETE CASCADE,
    id uuid NOT NULL,
    requested_by uuid,
    state text NOT NULL CHECK (state IN ('running', 'ready', 'failed', 'expired')),
    age_recipient text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
    sha256 text NOT NULL,
    tables json NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX exports_by_time ON exports (workspace_id, created_at, id);
CREATE INDEX exports_by_writer ON exports (workspace_id, requested_by);
SELECT causeway.enable_workspace_policy('exports');

-- The bytes, in pieces of one size. They are an object of the export and not a part of its row: no foreign key takes
-- them along, so that the list of what is to be deleted cannot be lost with the row.
CREATE TABLE export_chunks (
    workspace_id uuid NOT NULL,
    export uuid NOT NULL,
    number integer NOT NULL CHECK (number >= 0),
    bytes bytea NOT NULL,
    PRIMARY KEY (workspace_id, export, number)
);
SELECT causeway.enable_workspace_policy('export_chunks');

-- Whose exports are to be made or to be thrown away: asked by a job that belongs to no workspace.
CREATE TABLE export_jobs (
    workspace uuid NOT NULL,
    export uuid NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    lease uuid,
    leased_until timestamptz,
    PRIMARY KEY (workspace, export),
    FOREIGN KEY (workspace, export) REFERENCES exports (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX export_jobs_due ON export_jobs (due_at);

-- Objects whose rows are gone and whose bytes are not yet: written in the transaction that deletes the rows (ERA-05).
CREATE TABLE doomed_objects (
    workspace uuid NOT NULL,
    object uuid NOT NULL,
    PRIMARY KEY (workspace, object)
);

SELECT causeway.create_erasures_applied();
