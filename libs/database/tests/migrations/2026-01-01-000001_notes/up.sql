CREATE TABLE notes (
    workspace_id uuid NOT NULL,
    id uuid NOT NULL,
    body text NOT NULL CHECK (body <> ''),
    PRIMARY KEY (workspace_id, id)
);
SELECT causeway.enable_workspace_policy('notes');

CREATE TABLE lines (
    workspace_id uuid NOT NULL,
    note_id uuid NOT NULL,
    number int NOT NULL,
    PRIMARY KEY (workspace_id, note_id, number),
    CONSTRAINT lines_note FOREIGN KEY (workspace_id, note_id) REFERENCES notes (workspace_id, id)
);
SELECT causeway.enable_workspace_policy('lines');
SELECT causeway.append_only('lines');

CREATE TABLE counters (name text PRIMARY KEY, value bigint NOT NULL);

SELECT causeway.create_outbox();
