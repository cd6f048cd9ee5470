//! Erases, sends and seals anew what a process without a database keeps. The tables are named as in the database.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use causeway_context::{SessionId, UserId, WorkspaceId};
use causeway_holder::{Applied, ErasedRows, Part, Tombstone, send_tables};
use causeway_revocation::{Ended, Revocation};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{MemoryStore, State};
use crate::SCHEMA;
use crate::data::store::DataStore;
use crate::domain::SealedSeed;
use crate::store::StoreError;

/// What was erased here.
#[derive(Debug, Default)]
pub(super) struct Erasures {
    applied: BTreeMap<i64, ((WorkspaceId, Option<UserId>), Applied)>,
    workspaces: BTreeSet<WorkspaceId>,
}

impl Erasures {
    /// Refuses new rows of a workspace that was erased.
    pub(super) fn allow(&self, workspace: WorkspaceId) -> Result<(), StoreError> {
        if self.workspaces.contains(&workspace) {
            return Err(StoreError::Erased);
        }
        Ok(())
    }
}

/// How many of the map are gone afterwards.
fn retain<K: Ord, V>(map: &mut BTreeMap<K, V>, keep: impl Fn(&K, &V) -> bool) -> usize {
    let before = map.len();
    map.retain(|key, value| keep(key, value));
    before - map.len()
}

impl State {
    fn erase(&mut self, tombstone: &Tombstone) -> Vec<(&'static str, usize)> {
        let (workspace, subject) = (tombstone.workspace, tombstone.subject);
        let theirs = |user: UserId| subject.is_none_or(|subject| subject == user);
        let tokens = retain(&mut self.tokens, |(of, _), token| {
            *of != workspace || !theirs(token.user)
        });
        let left = &self.tokens;
        self.token_index.retain(|_, (place, _)| left.contains_key(place));
        let gone = self
            .sessions
            .values()
            .filter(|session| session.workspace == workspace && theirs(session.user));
        let gone: BTreeSet<SessionId> = gone.map(|session| session.id).collect();
        let refresh = retain(&mut self.refresh_tokens, |_, token| {
            !gone.contains(&token.session)
        });
        let sessions = retain(&mut self.sessions, |id, _| !gone.contains(id));
        let seeds = retain(&mut self.factors.seeds, |(of, user), _| {
            *of != workspace || !theirs(*user)
        });
        let sign_ins = retain(&mut self.book.sign_ins, |_, one| {
            one.workspace != workspace || !theirs(one.user)
        });
        let mut erased = vec![
            ("tokens", tokens),
            ("factors", seeds),
            ("refresh_tokens", refresh),
            ("sessions", sessions),
            ("sign_ins", sign_ins),
        ];
        if subject.is_none() {
            erased.push((
                "clients",
                retain(&mut self.clients, |_, client| client.workspace != workspace),
            ));
            self.revoked_access_tokens.retain(|(of, _), _| *of != workspace);
            self.erasures.workspaces.insert(workspace);
        }
        erased
    }

    fn erase_persons(&mut self, leavers: &[UserId]) -> Vec<(&'static str, usize)> {
        let leaves = |user: &UserId| leavers.contains(user);
        self.addresses.retain(|_, user| !leaves(user));
        self.book.mail_tokens.retain(|_, (_, user, _)| !leaves(user));
        self.book.verified.retain(|user, _| !leaves(user));
        self.factors.forget(leavers);
        self.disabled.retain(|user, _| !leaves(user));
        vec![
            (
                "known_places",
                retain(&mut self.book.places, |_, (user, _)| !leaves(user)),
            ),
            (
                "sign_ins",
                retain(&mut self.book.sign_ins, |_, one| !leaves(&one.user)),
            ),
            (
                "sessions",
                retain(&mut self.sessions, |_, session| !leaves(&session.user)),
            ),
            (
                "identities",
                retain(&mut self.identities, |_, member| !leaves(&member.user)),
            ),
            ("accounts", retain(&mut self.accounts, |user, _| !leaves(user))),
        ]
    }

    /// The rows that an export shows: nothing sealed, no hashes.
    fn shown(&self, workspace: WorkspaceId) -> Vec<(&'static str, Vec<Value>)> {
        let tokens = self.tokens.values().filter(|token| token.workspace == workspace);
        let tokens = tokens.map(|token| {
            json!({"workspace_id": workspace, "id": token.id, "user_id": token.user, "name": token.name.as_str(),
                "scopes": token.scopes, "created_at": time(token.created_at), "expires_at": time(token.expires_at),
                "last_used_at": token.last_used_at.map(time), "revoked_at": token.revoked_at.map(time),
                "last_four": token.last_four})
        });
        let sessions = self
            .sessions
            .values()
            .filter(|session| session.workspace == workspace);
        let sessions = sessions.map(|session| {
            json!({"id": session.id, "user_id": session.user, "workspace": workspace,
                "opened_at": time(session.opened_at), "closed_at": session.closed_at.map(time)})
        });
        let sign_ins = self
            .book
            .sign_ins
            .values()
            .filter(|one| one.workspace == workspace);
        let sign_ins = sign_ins.map(|one| {
            json!({"id": one.id, "user_id": one.user, "workspace": workspace, "at": time(one.at),
                "session_id": one.session})
        });
        let clients = self
            .clients
            .values()
            .filter(|client| client.workspace == workspace);
        let clients = clients.map(|client| {
            json!({"workspace_id": workspace, "id": client.id.to_string(), "name": client.name.as_str(),
                "scopes": client.scopes, "granted_by": client.granted_by, "disabled": client.disabled,
                "created_at": time(client.created_at), "deleted_at": client.deleted_at.map(time)})
        });
        let factors = self.factors.seeds.iter().filter(|((of, _), _)| *of == workspace);
        let factors = factors.map(|((_, user), seed)| {
            json!({"workspace_id": workspace, "user_id": user, "key_version": seed.key_version})
        });
        vec![
            ("clients", clients.collect()),
            ("tokens", tokens.collect()),
            ("factors", factors.collect()),
            ("sessions", sessions.collect()),
            ("sign_ins", sign_ins.collect()),
        ]
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[async_trait]
impl DataStore for MemoryStore {
    async fn seeds_below(
        &self,
        workspace: WorkspaceId,
        version: i32,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, SealedSeed)>, StoreError> {
        let state = self.state();
        let seeds = state.factors.seeds.iter().filter(|((of, user), seed)| {
            *of == workspace && seed.key_version < version && after.is_none_or(|after| *user > after)
        });
        Ok(seeds
            .map(|((_, user), seed)| (*user, seed.clone()))
            .take(limit)
            .collect())
    }

    async fn reseal_seed(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        before: &SealedSeed,
        after: &SealedSeed,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let stored = state.factors.seeds.get_mut(&(workspace, user));
        let Some(stored) = stored.filter(|stored| **stored == *before) else {
            return Ok(false);
        };
        *stored = after.clone();
        Ok(true)
    }

    async fn count_seeds_below(
        &self,
        workspace: WorkspaceId,
        version: i32,
    ) -> Result<(u64, u64), StoreError> {
        let state = self.state();
        let seeds = state.factors.seeds.iter().filter(|((of, _), _)| *of == workspace);
        Ok(seeds.fold((0, 0), |(rows, below), (_, seed)| {
            (rows + 1, below + u64::from(seed.key_version < version))
        }))
    }

    async fn address_of(&self, user: UserId) -> Result<Option<String>, StoreError> {
        let state = self.state();
        Ok(state
            .accounts
            .get(&user)
            .map(|account| account.email.as_str().to_owned()))
    }

    async fn apply_tombstone(&self, tombstone: &Tombstone, at: DateTime<Utc>) -> Result<Applied, StoreError> {
        let mut state = self.state();
        if let Some((whose, applied)) = state.erasures.applied.get(&tombstone.number) {
            if *whose != (tombstone.workspace, tombstone.subject) {
                return Err(StoreError::Corrupt("a tombstone of somebody else".into()));
            }
            return Ok(applied.clone());
        }
        let mut counts = state.erase(tombstone);
        counts.extend(state.erase_persons(&tombstone.leavers));
        let mut erased: BTreeMap<&str, usize> = BTreeMap::new();
        for (table, rows) in counts {
            *erased.entry(table).or_default() += rows;
        }
        let applied = Applied {
            erased: erased
                .into_iter()
                .map(|(table, rows)| ErasedRows {
                    table: format!("auth.{table}"),
                    rows: u64::try_from(rows).unwrap_or(u64::MAX),
                })
                .collect(),
            leavers: tombstone.leavers.iter().map(|user| user.0).collect(),
        };
        self.ended.add([match tombstone.subject {
            Some(subject) => {
                let member = Ended::Member(tombstone.workspace, subject);
                Revocation::before(member, at, self.life.0)
            }
            None => Revocation::of(Ended::Workspace(tombstone.workspace), at, self.life.0),
        }]);
        let whose = (tombstone.workspace, tombstone.subject);
        state
            .erasures
            .applied
            .insert(tombstone.number, (whose, applied.clone()));
        Ok(applied)
    }

    async fn send_rows(
        &self,
        workspace: WorkspaceId,
        _snapshot: Option<String>,
        parts: mpsc::Sender<Part>,
    ) -> Result<(), StoreError> {
        let tables = self.state().shown(workspace);
        Ok(send_tables(SCHEMA.name, tables, &parts).await?)
    }

    async fn workspaces_with_history(
        &self,
        after: Option<WorkspaceId>,
        limit: usize,
    ) -> Result<Vec<WorkspaceId>, StoreError> {
        let state = self.state();
        let sign_ins = state.book.sign_ins.values().map(|one| one.workspace);
        let workspaces: BTreeSet<WorkspaceId> = sign_ins
            .filter(|workspace| after.is_none_or(|after| *workspace > after))
            .collect();
        Ok(workspaces.into_iter().take(limit).collect())
    }

    async fn forget_sign_ins(&self, workspace: WorkspaceId, before: DateTime<Utc>) -> Result<(), StoreError> {
        let sign_ins = &mut self.state().book.sign_ins;
        sign_ins.retain(|_, one| one.workspace != workspace || one.at >= before);
        Ok(())
    }
}
