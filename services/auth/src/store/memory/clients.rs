use async_trait::async_trait;
use causeway_context::WorkspaceId;
use causeway_crypto::StoredSecret;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{MemoryStore, conflict};
use crate::domain::{Client, ClientId, Hash};
use crate::page::Page;
use crate::store::{ClientStore, Revoked, RevokedAccess, StoreError};

#[async_trait]
impl ClientStore for MemoryStore {
    async fn insert_client(&self, client: &Client, fact: OutboxEvent) -> Result<(), StoreError> {
        let mut state = self.state();
        state.erasures.allow(client.workspace)?;
        if state.clients.contains_key(&client.id) {
            return Err(conflict("client"));
        }
        state.clients.insert(client.id, client.clone());
        self.outbox.push(fact);
        Ok(())
    }

    async fn list_clients(&self, workspace: WorkspaceId, page: Page) -> Result<Vec<Client>, StoreError> {
        let state = self.state();
        let own = state
            .clients
            .values()
            .rev()
            .filter(|client| client.workspace == workspace && client.deleted_at.is_none());
        let rest = own.filter(|client| page.after.is_none_or(|after| client.id.0 < after.0));
        Ok(rest.take(page.size).cloned().collect())
    }

    async fn find_client(&self, workspace: WorkspaceId, id: ClientId) -> Result<Option<Client>, StoreError> {
        let state = self.state();
        let found = state.clients.get(&id);
        Ok(found.filter(|client| client.workspace == workspace).cloned())
    }

    async fn workspace_of_client(&self, id: ClientId) -> Result<Option<WorkspaceId>, StoreError> {
        Ok(self.state().clients.get(&id).map(|client| client.workspace))
    }

    async fn client_of_secret(&self, hashes: &[Hash]) -> Result<Option<(WorkspaceId, ClientId)>, StoreError> {
        let state = self.state();
        let has = |client: &&Client| {
            let mut stored = client.secrets.iter().map(|secret| secret.stored.hash);
            stored.any(|hash| hashes.contains(&hash))
        };
        let found = state.clients.values().find(has);
        Ok(found.map(|client| (client.workspace, client.id)))
    }

    async fn change_client(
        &self,
        client: &Client,
        ended: Option<Revoked>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        let found = state
            .clients
            .get_mut(&client.id)
            .filter(|found| found.workspace == client.workspace && found.revision == client.revision);
        let Some(found) = found else { return Ok(false) };
        *found = Client {
            revision: client.revision + 1,
            ..client.clone()
        };
        self.ended.add(ended);
        self.outbox.push(fact);
        Ok(true)
    }

    async fn rehash_client_secret(
        &self,
        workspace: WorkspaceId,
        secret: Uuid,
        new: &StoredSecret,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        let clients = state
            .clients
            .values_mut()
            .filter(|client| client.workspace == workspace);
        let mut secrets = clients.flat_map(|client| client.secrets.iter_mut());
        if let Some(found) = secrets.find(|found| found.id == secret) {
            found.stored = new.clone();
        }
        Ok(())
    }

    async fn revoke_access_token(
        &self,
        token: &RevokedAccess,
        at: DateTime<Utc>,
        fact: OutboxEvent,
    ) -> Result<bool, StoreError> {
        let mut state = self.state();
        state
            .revoked_access_tokens
            .retain(|_, known| known.expires_at >= at);
        let key = (token.workspace, token.jti.clone());
        if state.revoked_access_tokens.contains_key(&key) {
            return Ok(false);
        }
        state.revoked_access_tokens.insert(key, token.clone());
        self.outbox.push(fact);
        Ok(true)
    }

    async fn revoked_access_tokens(
        &self,
        workspace: WorkspaceId,
        credential: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, StoreError> {
        let state = self.state();
        let own = state.revoked_access_tokens.values().filter(|known| {
            known.workspace == workspace && known.credential == credential && known.expires_at >= now
        });
        Ok(own.map(|known| known.jti.clone()).collect())
    }
}
