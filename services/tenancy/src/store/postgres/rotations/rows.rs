//! Tables and rows of rotations.

use causeway_context::WorkspaceId;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::domain::{Counted, Requester, Ring, Rotation, RotationStep, UnreadableRow};
use crate::store::StoreError;
use crate::store::postgres::rows::{corrupt, loaded, stored};

diesel::table! {
    keystore.rotations (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        ring -> Text,
        from_version -> Integer,
        to_version -> Integer,
        keep_previous -> Bool,
        step -> Text,
        progress -> Jsonb,
        proof -> Jsonb,
        destroyed -> Array<Integer>,
        requester -> Jsonb,
        started_at -> Timestamptz,
        updated_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    keystore.rotation_failures (workspace_id, rotation, table_name, row_key) {
        workspace_id -> Uuid,
        rotation -> Uuid,
        table_name -> Text,
        row_key -> Text,
        reason -> Text,
    }
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = rotations, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
pub(super) struct RotationRow {
    workspace_id: Uuid,
    id: Uuid,
    ring: String,
    from_version: i32,
    to_version: i32,
    keep_previous: bool,
    step: String,
    progress: Value,
    proof: Value,
    destroyed: Vec<i32>,
    requester: Value,
    started_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

/// How far it is, as it is kept.
#[derive(Serialize, Deserialize)]
struct Progress {
    holder: usize,
    cursor: String,
    total: i64,
    done: i64,
    remaining: i64,
    unreadable: i64,
}

/// A line of the proof, as it is kept.
#[derive(Serialize, Deserialize)]
struct Line {
    table: String,
    rows: i64,
    below: i64,
    at: DateTime<Utc>,
}

/// Who asked for it, as it is kept.
#[derive(Serialize, Deserialize)]
struct Asked {
    kind: String,
    id: String,
    request: String,
}

fn written(value: impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError::Corrupt(error.into()))
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::Corrupt(error.into()))
}

fn lines(proof: &[Counted]) -> Vec<Line> {
    let line = |counted: &Counted| Line {
        table: counted.table.clone(),
        rows: counted.rows,
        below: counted.below,
        at: counted.at,
    };
    proof.iter().map(line).collect()
}

impl From<Line> for Counted {
    fn from(line: Line) -> Self {
        Self {
            table: line.table,
            rows: line.rows,
            below: line.below,
            at: line.at,
        }
    }
}

impl TryFrom<&Rotation> for RotationRow {
    type Error = StoreError;

    fn try_from(rotation: &Rotation) -> Result<Self, StoreError> {
        let destroyed = rotation.destroyed.iter().map(|version| stored(*version));
        Ok(Self {
            workspace_id: rotation.workspace.0,
            id: rotation.id,
            ring: rotation.ring.as_str().to_owned(),
            from_version: stored(rotation.from_version)?,
            to_version: stored(rotation.to_version)?,
            keep_previous: rotation.keep_previous,
            step: rotation.step.as_str().to_owned(),
            progress: written(Progress {
                holder: rotation.holder,
                cursor: rotation.cursor.clone(),
                total: rotation.total,
                done: rotation.done,
                remaining: rotation.remaining,
                unreadable: rotation.unreadable,
            })?,
            proof: written(lines(&rotation.proof))?,
            destroyed: destroyed.collect::<Result<_, _>>()?,
            requester: written(Asked {
                kind: rotation.requester.kind.clone(),
                id: rotation.requester.id.clone(),
                request: rotation.requester.request.clone(),
            })?,
            started_at: rotation.started_at,
            updated_at: rotation.updated_at,
            finished_at: rotation.finished_at,
        })
    }
}

impl TryFrom<RotationRow> for Rotation {
    type Error = StoreError;

    fn try_from(row: RotationRow) -> Result<Self, StoreError> {
        let progress: Progress = read(row.progress)?;
        let proof: Vec<Line> = read(row.proof)?;
        let asked: Asked = read(row.requester)?;
        Ok(Self {
            workspace: WorkspaceId(row.workspace_id),
            id: row.id,
            ring: Ring::parse(&row.ring).map_err(corrupt)?,
            from_version: loaded(row.from_version)?,
            to_version: loaded(row.to_version)?,
            keep_previous: row.keep_previous,
            step: RotationStep::read(&row.step).ok_or_else(|| corrupt("no such step of a rotation"))?,
            holder: progress.holder,
            cursor: progress.cursor,
            total: progress.total,
            done: progress.done,
            remaining: progress.remaining,
            unreadable: progress.unreadable,
            proof: proof.into_iter().map(Into::into).collect(),
            destroyed: row.destroyed.into_iter().map(loaded).collect::<Result<_, _>>()?,
            requester: Requester {
                kind: asked.kind,
                id: asked.id,
                request: asked.request,
            },
            started_at: row.started_at,
            updated_at: row.updated_at,
            finished_at: row.finished_at,
        })
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = rotation_failures, check_for_backend(diesel::pg::Pg))]
pub(super) struct FailureRow {
    workspace_id: Uuid,
    rotation: Uuid,
    table_name: String,
    row_key: String,
    reason: String,
}

impl FailureRow {
    pub(super) fn of(rotation: &Rotation, row: &UnreadableRow) -> Self {
        Self {
            workspace_id: rotation.workspace.0,
            rotation: rotation.id,
            table_name: row.table.clone(),
            row_key: row.row.clone(),
            reason: row.reason.clone(),
        }
    }
}

impl From<FailureRow> for UnreadableRow {
    fn from(row: FailureRow) -> Self {
        Self {
            table: row.table_name,
            row: row.row_key,
            reason: row.reason,
        }
    }
}
