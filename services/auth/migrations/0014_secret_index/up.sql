-- Where a client's secret lies. One that was found in a public place does not come with the id of its client, and its
-- text does not say its workspace, so this is looked up before there is one. A hash goes with its secret.
CREATE TABLE client_secret_index (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    workspace uuid NOT NULL,
    secret_id uuid NOT NULL,
    client_id uuid NOT NULL,
    FOREIGN KEY (workspace, secret_id) REFERENCES client_secrets (workspace_id, id) ON DELETE CASCADE
);
CREATE INDEX client_secret_index_by_secret ON client_secret_index (workspace, secret_id);

-- The owner sees the rows of every workspace for as long as the policy does not bind it.
ALTER TABLE client_secrets NO FORCE ROW LEVEL SECURITY;
INSERT INTO client_secret_index (hash, workspace, secret_id, client_id)
    SELECT hash, workspace_id, id, client_id FROM client_secrets;
ALTER TABLE client_secrets FORCE ROW LEVEL SECURITY;

-- A client that is made while its workspace is erased must not stay behind.
SELECT causeway.refuse_erased('clients', 'workspace_id');
