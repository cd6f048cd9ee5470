//! OAuth clients: made, changed, ended, and their secrets rotated (CC-03).

use causeway_context::{CallContext, TokenId};
use causeway_crypto::token;
use causeway_outbox::OutboxEvent;
use causeway_revocation::Ended;
use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::tokens::one_more;
use super::{AuthService, Fields};
use crate::domain::{
    Client, ClientId, ClientSecret, Grant, Invalid, MOST_SCOPES, RotationRefused, Scopes, TokenName, overlap,
};
use crate::error::AuthError;
use crate::page::Page;
use crate::store::Revoked;

/// A client as it is asked for.
pub(crate) struct CreateClientRequest {
    /// Its name.
    pub(crate) name: String,
    /// What its tokens may do.
    pub(crate) scopes: Vec<String>,
    /// How it may get tokens.
    pub(crate) grants: Vec<String>,
}

/// What is to change of a client; nothing leaves a field as it is.
#[derive(Default)]
pub(crate) struct ClientChange {
    /// The name.
    pub(crate) name: Option<String>,
    /// What its tokens may do.
    pub(crate) scopes: Option<Vec<String>>,
    /// How it may get tokens.
    pub(crate) grants: Option<Vec<String>>,
    /// Whether it is switched off.
    pub(crate) disabled: Option<bool>,
}

/// A client with a new secret, for this once.
pub(crate) struct WithSecret {
    /// What is kept.
    pub(crate) client: Client,
    /// The secret.
    pub(crate) secret: SecretString,
}

/// How a rotation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RotationEnd {
    /// The old secret goes.
    Complete,
    /// The new secret goes.
    Cancel,
}

impl RotationEnd {
    const fn word(self) -> &'static str {
        match self {
            Self::Complete => "completed",
            Self::Cancel => "cancelled",
        }
    }

    fn apply(self, client: &mut Client, ctx: &CallContext) -> Result<(), RotationRefused> {
        match self {
            Self::Complete => client.complete_rotation(ctx.now),
            Self::Cancel => client.cancel_rotation(ctx.now),
        }
    }
}

impl Fields {
    fn few_scopes(&mut self, asked: Vec<String>, ctx: &CallContext) -> Option<Vec<String>> {
        if asked.len() > MOST_SCOPES {
            self.wrong("scopes", "must be at most 100");
            return None;
        }
        self.scopes("scopes", asked, ctx).map(|Scopes(scopes)| scopes)
    }

    fn grants(&mut self, asked: &[String]) -> Option<Vec<Grant>> {
        Grant::of(asked)
            .map_err(|unknown| {
                for index in unknown {
                    self.wrong(format!("grants[{index}]"), "is not a grant that there is");
                }
            })
            .ok()
    }
}

impl AuthService {
    /// Makes a client of the workspace of the call.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], a caller who is no person, or a store that is away.
    pub(crate) async fn create_client(
        &self,
        ctx: &CallContext,
        request: CreateClientRequest,
    ) -> Result<WithSecret, AuthError> {
        let (workspace, user) = (ctx.workspace()?, ctx.user()?);
        let mut fields = Fields::default();
        let name = fields.take("name", TokenName::parse(&request.name));
        let scopes = fields.few_scopes(request.scopes, ctx);
        let grants = fields.grants(&request.grants);
        let (Some(name), Some(scopes), Some(grants)) = (name, scopes, grants) else {
            return Err(fields.into_error());
        };
        let (first, secret) = self.mint_client_secret(ctx);
        let client = Client {
            id: ClientId::generate(),
            workspace,
            name,
            scopes,
            grants,
            disabled: false,
            granted_by: user,
            created_at: ctx.now,
            deleted_at: None,
            revision: 0,
            secrets: vec![first],
        };
        let fact = described(fact_of(ctx, &client)?, &client);
        let id = fact.id;
        self.store.insert_client(&client, fact).await?;
        self.settle(id).await;
        Ok(WithSecret { client, secret })
    }

    /// A page of the workspace's clients, and where the next one starts.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], or a store that is away.
    pub(crate) async fn list_clients(
        &self,
        ctx: &CallContext,
        page_size: i32,
        page_token: &str,
    ) -> Result<(Vec<Client>, String), AuthError> {
        let workspace = ctx.workspace()?;
        let page = one_more(page_size, page_token)?;
        let mut clients = self.store.list_clients(workspace, page).await?;
        if clients.len() < page.size {
            return Ok((clients, String::new()));
        }
        clients.truncate(page.size - 1);
        let next = clients.last().map(|last| Page::word(TokenId(last.id.0)));
        Ok((clients, next.unwrap_or_default()))
    }

    /// A client of the workspace.
    ///
    /// # Errors
    /// [`AuthError::ClientNotFound`], or a store that is away.
    pub(crate) async fn get_client(&self, ctx: &CallContext, id: &str) -> Result<Client, AuthError> {
        let found = self.client_of(ctx, id).await?;
        found
            .filter(|client| client.deleted_at.is_none())
            .ok_or(AuthError::ClientNotFound)
    }

    /// Changes a client. Whoever changes its scopes is the one who grants them from then on. To switch it off ends the
    /// access tokens that it has, for good: switched on again, it has to ask for new ones.
    ///
    /// # Errors
    /// [`AuthError::Invalid`], [`AuthError::ClientNotFound`], [`AuthError::ClientChanged`], or a store that is away.
    pub(crate) async fn update_client(
        &self,
        ctx: &CallContext,
        id: &str,
        change: ClientChange,
    ) -> Result<Client, AuthError> {
        let mut client = self.get_client(ctx, id).await?;
        let was_alive = client.alive();
        let mut fields = Fields::default();
        let mut changed = Vec::new();
        if let Some(name) = change.name {
            client.name = fields
                .take("client.name", TokenName::parse(&name))
                .unwrap_or(client.name);
            changed.push("name");
        }
        if let Some(scopes) = change.scopes {
            client.scopes = fields.few_scopes(scopes, ctx).unwrap_or_default();
            client.granted_by = ctx.user()?;
            changed.push("scopes");
        }
        if let Some(grants) = change.grants {
            client.grants = fields.grants(&grants).unwrap_or_default();
            changed.push("grants");
        }
        if let Some(disabled) = change.disabled {
            client.disabled = disabled;
            changed.push("disabled");
        }
        if !fields.0.is_empty() {
            return Err(fields.into_error());
        }
        let fact = described(fact_of(ctx, &client)?, &client)
            .detail("changed", changed)
            .detail("disabled", client.disabled);
        let ended = (was_alive && !client.alive()).then(|| self.tokens_until_now(ctx, client.id));
        self.keep_client(client, ended, fact).await
    }

    /// Ends a client. A second time is as good as the first.
    ///
    /// # Errors
    /// [`AuthError::ClientNotFound`], [`AuthError::ClientChanged`], or a store that is away.
    pub(crate) async fn delete_client(&self, ctx: &CallContext, id: &str) -> Result<(), AuthError> {
        let found = self.client_of(ctx, id).await?;
        let mut client = found.ok_or(AuthError::ClientNotFound)?;
        if client.deleted_at.is_some() {
            return Ok(());
        }
        client.deleted_at = Some(ctx.now);
        client.secrets.clear();
        let fact = fact_of(ctx, &client)?.detail("name", client.name.as_str());
        let ended = Revoked::of(Ended::Client(client.id.0), ctx.now, self.access_life);
        self.keep_client(client, Some(ended), fact).await.map(drop)
    }

    /// Starts a rotation: two secrets are in force until the old one's end.
    ///
    /// # Errors
    /// [`AuthError::ScopesNotHeld`] for a caller who may do less than the client; [`AuthError::Rotation`],
    /// [`AuthError::Invalid`], [`AuthError::ClientNotFound`], [`AuthError::ClientChanged`], or a store that is away.
    pub(crate) async fn rotate_client(
        &self,
        ctx: &CallContext,
        id: &str,
        overlap_seconds: Option<i64>,
    ) -> Result<WithSecret, AuthError> {
        let mut fields = Fields::default();
        let Some(overlap) = fields.take("overlap_seconds", overlap(overlap_seconds)) else {
            return Err(fields.into_error());
        };
        let mut client = self.get_client(ctx, id).await?;
        let held = &ctx.caller.permissions;
        if !client.scopes.iter().all(|scope| held.contains(scope)) {
            return Err(AuthError::ScopesNotHeld);
        }
        let (new, secret) = self.mint_client_secret(ctx);
        let last_four = new.last_four.clone();
        client
            .start_rotation(new, overlap, ctx.now)
            .map_err(AuthError::Rotation)?;
        let fact = fact_of(ctx, &client)?
            .detail("step", "started")
            .detail("last_four", last_four)
            .detail("overlap_seconds", overlap.num_seconds());
        let client = self.keep_client(client, None, fact).await?;
        Ok(WithSecret { client, secret })
    }

    /// Ends a rotation.
    ///
    /// # Errors
    /// [`AuthError::Rotation`], [`AuthError::ClientNotFound`], [`AuthError::ClientChanged`], or a store that is away.
    pub(crate) async fn end_rotation(
        &self,
        ctx: &CallContext,
        id: &str,
        end: RotationEnd,
    ) -> Result<Client, AuthError> {
        let mut client = self.get_client(ctx, id).await?;
        end.apply(&mut client, ctx).map_err(AuthError::Rotation)?;
        let fact = fact_of(ctx, &client)?.detail("step", end.word());
        self.keep_client(client, None, fact).await
    }

    async fn client_of(&self, ctx: &CallContext, id: &str) -> Result<Option<Client>, AuthError> {
        let workspace = ctx.workspace()?;
        let id: ClientId = id.parse().map_err(|_: Invalid| AuthError::ClientNotFound)?;
        Ok(self.store.find_client(workspace, id).await?)
    }

    /// The end of the access tokens that a client has, those of this very millisecond included.
    pub(super) fn tokens_until_now(&self, ctx: &CallContext, client: ClientId) -> Revoked {
        let now = ctx.now + TimeDelta::milliseconds(1);
        Revoked::before(Ended::Client(client.0), now, self.access_life)
    }

    pub(super) async fn keep_client(
        &self,
        client: Client,
        ended: Option<Revoked>,
        fact: OutboxEvent,
    ) -> Result<Client, AuthError> {
        let id = fact.id;
        if !self.store.change_client(&client, ended, fact).await? {
            return Err(AuthError::ClientChanged);
        }
        self.verified.forget(client.id);
        self.settle(id).await;
        Ok(client)
    }

    fn mint_client_secret(&self, ctx: &CallContext) -> (ClientSecret, SecretString) {
        let minted = token::mint(token::CLIENT_SECRET);
        let forms = self.peppers.forms(minted.secret.expose_secret());
        let secret = ClientSecret {
            id: Uuid::now_v7(),
            stored: forms.newest().clone(),
            last_four: minted.last_four,
            created_at: ctx.now,
            expires_at: None,
        };
        (secret, minted.secret)
    }
}

fn fact_of(ctx: &CallContext, client: &Client) -> Result<OutboxEvent, AuthError> {
    Ok(OutboxEvent::of(ctx)?.target("client", client.id.to_string()))
}

fn described(fact: OutboxEvent, client: &Client) -> OutboxEvent {
    let grants: Vec<&str> = client.grants.iter().map(|grant| grant.as_str()).collect();
    fact.detail("name", client.name.as_str())
        .detail("scopes", client.scopes.clone())
        .detail("grants", grants)
}
