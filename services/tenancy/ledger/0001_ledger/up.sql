-- What was erased, and the proof of it. The ledger has backups of its own: a main schema that is restored learns here
-- what it must not bring back. Nothing in it tells about persons but ids. It has no policy: the job that erases goes
-- through all workspaces, and a receipt is read when its workspace is gone.
CREATE TABLE erasures (
    id uuid PRIMARY KEY,
    workspace uuid NOT NULL,
    subject uuid,
    state text NOT NULL CHECK (state IN ('scheduled', 'running', 'succeeded', 'cancelled')),
    requested_by uuid NOT NULL,
    requested_at timestamptz NOT NULL,
    scheduled_for timestamptz NOT NULL,
    lease uuid,
    leased_until timestamptz
);
-- One at a time for one workspace, and for one person in it.
CREATE UNIQUE INDEX erasures_open ON erasures (workspace, subject) NULLS NOT DISTINCT
    WHERE state IN ('scheduled', 'running');
CREATE INDEX erasures_due ON erasures (scheduled_for, id) WHERE state IN ('scheduled', 'running');
CREATE INDEX erasures_by_time ON erasures (workspace, requested_at, id);

-- Committed before anything is erased. Their numbers are what the main schemas keep of them.
CREATE TABLE tombstones (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    erasure uuid NOT NULL UNIQUE REFERENCES erasures (id),
    workspace uuid NOT NULL,
    subject uuid,
    buried_at timestamptz NOT NULL
);
CREATE INDEX tombstones_by_workspace ON tombstones (workspace, subject);
SELECT causeway.append_only('tombstones');

-- A chain: each hash covers the one before it.
CREATE TABLE receipts (
    sequence bigint PRIMARY KEY CHECK (sequence > 0),
    erasure uuid NOT NULL UNIQUE REFERENCES erasures (id),
    completed_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    destroyed_keys bigint NOT NULL CHECK (destroyed_keys >= 0),
    counts json NOT NULL,
    retained json NOT NULL,
    previous_hash text NOT NULL UNIQUE CHECK (previous_hash ~ '^[0-9a-f]{64}$'),
    hash text NOT NULL UNIQUE CHECK (hash ~ '^[0-9a-f]{64}$')
);
SELECT causeway.append_only('receipts');
