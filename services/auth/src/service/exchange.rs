//! The exchange: a session at an identity provider becomes a session here (B-AUTH-2).
//!
//! The first one of a person makes the person and a workspace, in the order of a registration: the identity is claimed
//! with the ids of both, tenancy makes the workspace under its id, the claim ends. A crash in between leaves a pending
//! claim, with which the next exchange goes on.

use causeway_context::{CallContext, SessionId, UserId, WorkspaceId};
use causeway_oidc::{ClerkSession, VerifyError};
use causeway_outbox::OutboxEvent;
use chrono::TimeDelta;
use secrecy::SecretString;

use super::register::REGISTER;
use super::session::{Assurance, Opening};
use super::{AuthService, as_rpc};
use crate::domain::{AccountState, Identity, Member, PassedBy, Proof, Provider, WorkspaceName};
use crate::error::AuthError;

/// What a workspace is called that nobody named. Clerk's tokens say no name of the person.
const WORKSPACE_NAME: &str = "Personal workspace";

/// An exchange as the client asked for it.
pub(crate) struct ExchangeRequest {
    /// The provider's token.
    pub(crate) token: SecretString,
    /// The workspace to enter; the oldest when empty.
    pub(crate) workspace_id: String,
    /// Whether to give a refresh token.
    pub(crate) refresh: bool,
    /// To which permissions the token is narrowed; empty narrows nothing.
    pub(crate) scope: Vec<String>,
}

/// What the client gets.
pub(crate) struct Exchanged {
    /// The JWT.
    pub(crate) access: SecretString,
    /// How long it lives.
    pub(crate) access_life: TimeDelta,
    /// What continues the session, if that was asked for and may be.
    pub(crate) refresh: Option<SecretString>,
    /// The workspace of the session.
    pub(crate) workspace: WorkspaceId,
    /// The session.
    pub(crate) session: SessionId,
}

impl AuthService {
    /// Opens a session for a token of Clerk.
    ///
    /// # Errors
    /// [`AuthError::ExchangeDisabled`]; [`AuthError::SubjectRefused`], which looks the same for every cause;
    /// [`AuthError::SessionPending`]; [`AuthError::KeysAway`]; or what can go wrong with a login.
    pub(crate) async fn exchange(
        &self,
        ctx: &CallContext,
        request: ExchangeRequest,
    ) -> Result<Exchanged, AuthError> {
        let clerk = self.clerk.as_ref().ok_or(AuthError::ExchangeDisabled)?;
        let wanted = self.wanted_workspace(&request.workspace_id)?;
        let proven = clerk.prove(&request.token, ctx.now).await.map_err(refused)?;
        let user = self.member(ctx, &proven).await?;
        let membership = self.enter(ctx, user, wanted).await?;
        // Who acts in the name of another does so for as long as the provider's token says (EXC-04).
        let lasting = request.refresh && proven.actor.is_none();
        let refresh = lasting.then(|| self.refresh_key.first());
        let opening = Opening {
            user,
            membership: &membership,
            assurance: Assurance {
                factor: proven.second_factor.then_some(PassedBy::Provider),
                act: proven.actor.clone(),
                scope: request.scope,
                enrolled: false,
            },
            refresh: refresh.as_ref(),
            proof: once(&proven).filter(|_| lasting),
            password: None,
        };
        let (session, access) = self.open(ctx, opening, |fact| describe(fact, proven)).await?;
        Ok(Exchanged {
            access,
            access_life: self.access_life,
            refresh,
            workspace: membership.workspace,
            session,
        })
    }

    /// The person whom the session is of; made if this is the first time.
    async fn member(&self, ctx: &CallContext, proven: &ClerkSession) -> Result<UserId, AuthError> {
        let identity = Identity {
            provider: Provider::Clerk,
            issuer: proven.issuer.clone(),
            subject: proven.subject.clone(),
        };
        let member = match self.store.find_identity(&identity).await? {
            Some(member) => member,
            None => self.store.claim_identity(&newcomer(ctx, identity)).await?,
        };
        if member.state == AccountState::Pending {
            self.settle_in(ctx, &member).await?;
        }
        Ok(member.user)
    }

    async fn settle_in(&self, ctx: &CallContext, member: &Member) -> Result<(), AuthError> {
        let name = WorkspaceName::parse(WORKSPACE_NAME).map_err(|_| AuthError::NoWorkspace)?;
        let workspace = self
            .tenancy
            .provision(&ctx.request_id, member.home, &name, member.user)
            .await?;
        let fact = OutboxEvent::of(&as_rpc(ctx, REGISTER))?
            .in_workspace(workspace)
            .by_user(member.user)
            .target("account", member.user.to_string())
            .detail("method", member.identity.provider.as_str());
        let id = fact.id;
        if self.store.activate_identity(member.user, fact).await? {
            self.settle(id).await;
        }
        Ok(())
    }
}

fn newcomer(ctx: &CallContext, identity: Identity) -> Member {
    Member {
        identity,
        user: UserId::generate(),
        state: AccountState::Pending,
        home: WorkspaceId::generate(),
        first_seen_at: ctx.now,
    }
}

/// The token as something that may be used once, if it has an id.
fn once(proven: &ClerkSession) -> Option<Proof> {
    let id = proven.token.as_deref()?;
    Some(Proof::new(&proven.issuer, id, proven.expires_at))
}

fn describe(fact: OutboxEvent, proven: ClerkSession) -> OutboxEvent {
    let details = [
        ("provider_session", proven.session),
        ("organization", proven.organization.map(|active| active.id)),
        ("actor", proven.actor.map(|actor| actor.sub)),
    ];
    details.into_iter().fold(
        fact.detail("method", Provider::Clerk.as_str()),
        |fact, (key, value)| match value {
            Some(value) => fact.detail(key, value),
            None => fact,
        },
    )
}

/// The reason is for the log alone (JWT-05).
fn refused(error: VerifyError) -> AuthError {
    match error {
        VerifyError::Refused(refusal) => {
            tracing::info!(reason = refusal.reason(), "a token of Clerk was refused");
            AuthError::SubjectRefused
        }
        VerifyError::Pending => AuthError::SessionPending,
        VerifyError::KeysAway { retry_after } => AuthError::KeysAway(retry_after),
    }
}
