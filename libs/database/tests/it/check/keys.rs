//! RLS-02, RLS-08, RLS-10: keys and indexes.

use super::{findings, plant};
use crate::NOTES;
use causeway_testkit::TestDb;

#[tokio::test]
async fn a_unique_key_that_spans_workspaces_is_found() {
    plant(&[
        (
            "CREATE UNIQUE INDEX body ON notes.notes (body)",
            "DROP INDEX notes.body",
            "RLS-02 notes.notes: workspace_id is not first in the unique index body",
        ),
        (
            "CREATE UNIQUE INDEX body ON notes.notes (id, workspace_id)",
            "DROP INDEX notes.body",
            "RLS-02 notes.notes: workspace_id is not first in the unique index body",
        ),
        (
            "ALTER TABLE notes.notes ADD CONSTRAINT apart EXCLUDE USING btree (body WITH =)",
            "ALTER TABLE notes.notes DROP CONSTRAINT apart",
            "RLS-02 notes.notes: workspace_id is not first in the unique index apart",
        ),
        (
            "ALTER TABLE notes.lines DROP CONSTRAINT lines_pkey",
            "ALTER TABLE notes.lines ADD PRIMARY KEY (workspace_id, note_id, number)",
            "RLS-02 notes.lines: has no primary key",
        ),
        (
            "ALTER TABLE notes.lines DROP CONSTRAINT lines_pkey, ADD PRIMARY KEY (note_id, number)",
            "ALTER TABLE notes.lines DROP CONSTRAINT lines_pkey, ADD PRIMARY KEY (workspace_id, note_id, number)",
            "RLS-02 notes.lines: has no index that begins with workspace_id",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_foreign_key_that_can_cross_is_found() {
    plant(&[
        (
            "CREATE UNIQUE INDEX loose ON notes.notes (id); ALTER TABLE notes.lines DROP CONSTRAINT lines_note, \
             ADD CONSTRAINT lines_note FOREIGN KEY (note_id) REFERENCES notes.notes (id)",
            "ALTER TABLE notes.lines DROP CONSTRAINT lines_note, ADD CONSTRAINT lines_note \
             FOREIGN KEY (workspace_id, note_id) REFERENCES notes.notes (workspace_id, id); DROP INDEX notes.loose",
            "RLS-08 notes.lines: the foreign key lines_note does not begin with the workspace on both sides",
        ),
        // Both are there, and each is compared with the other's partner.
        (
            "ALTER TABLE notes.lines ADD CONSTRAINT crossed \
             FOREIGN KEY (note_id, workspace_id) REFERENCES notes.notes (workspace_id, id)",
            "ALTER TABLE notes.lines DROP CONSTRAINT crossed",
            "RLS-08 notes.lines: the foreign key crossed does not begin with the workspace on both sides",
        ),
        // A table of no workspace that refers to one of a workspace.
        (
            "CREATE UNIQUE INDEX loose ON notes.notes (id); ALTER TABLE notes.counters ADD COLUMN note uuid, \
             ADD CONSTRAINT counters_note FOREIGN KEY (note) REFERENCES notes.notes (id)",
            "ALTER TABLE notes.counters DROP COLUMN note; DROP INDEX notes.loose",
            "RLS-08 notes.counters: the foreign key counters_note does not begin with the workspace on both sides",
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_index_that_no_policy_lets_be_used_is_found() {
    for (index, class) in [
        ("(workspace_id, mood)", "enum_ops"),
        ("(workspace_id, amount)", "numeric_ops"),
        ("(workspace_id, tags)", "array_ops"),
        ("USING gin (tags)", "array_ops"),
        ("USING gin (about)", "jsonb_ops"),
        ("USING gin (words)", "tsvector_ops"),
        ("USING gist (span)", "range_ops"),
    ] {
        plant(&[(
            &format!(
                "CREATE TYPE notes.mood AS ENUM ('a'); ALTER TABLE notes.notes ADD COLUMN mood notes.mood, \
                 ADD COLUMN amount numeric, ADD COLUMN tags text[], ADD COLUMN about jsonb, \
                 ADD COLUMN words tsvector, ADD COLUMN span int4range; CREATE INDEX dead ON notes.notes {index}"
            ),
            "ALTER TABLE notes.notes DROP COLUMN mood, DROP COLUMN amount, DROP COLUMN tags, DROP COLUMN about, \
             DROP COLUMN words, DROP COLUMN span; DROP TYPE notes.mood; DROP INDEX IF EXISTS notes.dead",
            &format!(
                "RLS-10 notes.dead: the operators of {class} are not leakproof, so row-level security keeps the \
                 index from being used"
            ),
        )])
        .await;
    }
    plant(&[(
        "CREATE INDEX dead ON notes.notes (workspace_id, lower(body))",
        "DROP INDEX notes.dead",
        "RLS-10 notes.dead: is over an expression, whose functions row-level security does not trust",
    )])
    .await;
}

#[tokio::test]
async fn indexes_of_leakproof_types_are_fine_and_others_can_be_declared() {
    let Some(test) = TestDb::new(&[&NOTES]).await else {
        return;
    };
    test.admin(
        "ALTER TABLE notes.notes ADD COLUMN a int, ADD COLUMN b bigint, ADD COLUMN c timestamptz, ADD COLUMN d date, \
         ADD COLUMN e bool, ADD COLUMN f bytea, ADD COLUMN g inet, ADD COLUMN h smallint; \
         CREATE INDEX fine ON notes.notes (workspace_id, a, b, c, d, e, f, g, h, id, body); \
         CREATE INDEX brin ON notes.notes USING brin (c); \
         CREATE INDEX words ON notes.notes USING gin (to_tsvector('simple', body)); \
         SELECT causeway.index_of_definer('notes.words')",
    )
    .await;
    assert_eq!(findings(&test).await, [""; 0]);
}
