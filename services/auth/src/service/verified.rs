//! Which client a secret proves, remembered for a moment: a grant then costs neither a look at the store nor a call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_context::{CallContext, WorkspaceId};
use causeway_contracts::PermissionSet;
use causeway_crypto::token;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::AuthService;
use crate::domain::{Client, ClientId, Grant};
use crate::error::AuthError;
use crate::oauth::OauthError;

/// Shorter than the five seconds within which a revocation must hold.
pub(super) const FRESH: TimeDelta = TimeDelta::seconds(4);
const MOST: usize = 10_000;

/// A client whose secret was shown, and what it may do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct VerifiedClient {
    pub(super) id: ClientId,
    pub(super) workspace: WorkspaceId,
    pub(super) grants: Vec<Grant>,
    pub(super) permissions: PermissionSet,
}

impl VerifiedClient {
    /// Checks that the client may get tokens that way (ASVS 10.4.4).
    pub(super) fn may(&self, grant: Grant) -> Result<(), OauthError> {
        match self.grants.contains(&grant) {
            true => Ok(()),
            false => Err(OauthError::UnauthorizedClient),
        }
    }
}

/// What was verified and when that has to be done again, by the digest of id and secret. A wrong secret is never in it,
/// so that it costs the same whether the client is in use, unknown or idle (CC-02).
#[derive(Default)]
pub(super) struct VerifiedClients(Mutex<HashMap<[u8; 32], Entry>>);

struct Entry {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    client: Arc<VerifiedClient>,
}

impl Entry {
    fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        // A clock that was put back must not lengthen a life.
        self.from <= now && now < self.until
    }
}

impl VerifiedClients {
    fn entries(&self) -> MutexGuard<'_, HashMap<[u8; 32], Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &[u8; 32], now: DateTime<Utc>) -> Option<Arc<VerifiedClient>> {
        let entries = self.entries();
        let fresh = entries.get(key).filter(|entry| entry.is_fresh(now));
        fresh.map(|entry| Arc::clone(&entry.client))
    }

    fn put(&self, key: [u8; 32], entry: Entry) {
        let (mut entries, now) = (self.entries(), entry.from);
        if entries.len() >= MOST {
            entries.retain(|_, known| known.is_fresh(now));
        }
        if entries.len() < MOST {
            entries.insert(key, entry);
        }
    }

    /// Forgets a client that changed.
    pub(super) fn forget(&self, id: ClientId) {
        self.entries().retain(|_, entry| entry.client.id != id);
    }
}

impl AuthService {
    /// The client that an id and a secret prove.
    ///
    /// # Errors
    /// [`OauthError::InvalidClient`] for every cause, after the same work; or a part that is away.
    pub(super) async fn prove_client(
        &self,
        ctx: &CallContext,
        id: &str,
        secret: &SecretString,
    ) -> Result<Arc<VerifiedClient>, AuthError> {
        let text = secret.expose_secret();
        if !token::check(token::CLIENT_SECRET, text) {
            return Err(OauthError::InvalidClient.into());
        }
        let key = token::hash(&format!("{id} {text}"));
        if let Some(known) = self.verified.get(&key, ctx.now) {
            return Ok(known);
        }
        let (client, until) = self.compare_secret(ctx, id, text).await?;
        let Some(permissions) = self.permissions_of_client(ctx, &client).await? else {
            return Err(OauthError::InvalidClient.into());
        };
        let client = Arc::new(VerifiedClient {
            id: client.id,
            workspace: client.workspace,
            grants: client.grants,
            permissions,
        });
        let entry = Entry {
            from: ctx.now,
            until: until.map_or(ctx.now + FRESH, |end| end.min(ctx.now + FRESH)),
            client: Arc::clone(&client),
        };
        self.verified.put(key, entry);
        Ok(client)
    }

    /// The client, and when the secret that was shown ends. An unknown client costs what a wrong secret does: the same
    /// statements, and the same comparison.
    async fn compare_secret(
        &self,
        ctx: &CallContext,
        id: &str,
        text: &str,
    ) -> Result<(Client, Option<DateTime<Utc>>), AuthError> {
        let nobody = ClientId(Uuid::nil());
        let id = id.parse().unwrap_or(nobody);
        let forms = self.peppers.forms(text);
        let place = self.store.workspace_of_client(id).await?;
        let workspace = place.unwrap_or(WorkspaceId(Uuid::nil()));
        let found = self.store.find_client(workspace, id).await?;
        let matching = found
            .as_ref()
            .and_then(|client| client.matching(&forms, ctx.now))
            .cloned();
        let (Some(client), Some(secret)) = (found.filter(Client::alive), matching) else {
            return Err(OauthError::InvalidClient.into());
        };
        if secret.stored != *forms.newest() {
            let renewed = self
                .store
                .rehash_client_secret(workspace, secret.id, forms.newest());
            if let Err(error) = renewed.await {
                tracing::warn!(error = &error as &dyn std::error::Error, client = %client.id, "renew the hash of a secret");
            }
        }
        Ok((client, secret.expires_at))
    }

    /// What a client may do now; nothing when the person who granted its scopes is gone.
    pub(super) async fn permissions_of_client(
        &self,
        ctx: &CallContext,
        client: &Client,
    ) -> Result<Option<PermissionSet>, AuthError> {
        let held = self.held_in(ctx, client.granted_by, client.workspace).await?;
        Ok(held.map(|held| held & client.scopes.iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    fn entry(id: ClientId) -> Entry {
        Entry {
            from: at(0),
            until: at(0) + FRESH,
            client: Arc::new(VerifiedClient {
                id,
                workspace: WorkspaceId::generate(),
                grants: Vec::new(),
                permissions: PermissionSet::EMPTY,
            }),
        }
    }

    #[test]
    fn what_was_verified_is_known_for_four_seconds() {
        let (clients, id) = (VerifiedClients::default(), ClientId::generate());
        clients.put([1; 32], entry(id));
        assert!(clients.get(&[1; 32], at(3)).is_some());
        assert!(clients.get(&[1; 32], at(4)).is_none());
        assert!(clients.get(&[1; 32], at(-1)).is_none(), "the clock was put back");
        assert!(clients.get(&[2; 32], at(3)).is_none());
        clients.forget(id);
        assert!(clients.get(&[1; 32], at(3)).is_none());
    }

    #[test]
    fn what_is_known_is_bounded() {
        let clients = VerifiedClients::default();
        for index in 0..MOST + 10 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&index.to_be_bytes());
            clients.put(key, entry(ClientId::generate()));
        }
        assert_eq!(clients.entries().len(), MOST);
    }
}
