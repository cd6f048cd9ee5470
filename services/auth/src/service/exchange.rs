//! The exchange: a session at an identity provider becomes a session here (B-AUTH-2).
//!
//! The first one of a person makes the person and a workspace, in the order of a registration: the identity is claimed
//! with the ids of both, tenancy makes the workspace under its id, the claim ends. A crash in between leaves a pending
//! claim, with which the next exchange goes on.

use causeway_context::{CallContext, SessionId, UserId, WorkspaceId};
use causeway_crypto::Actor;
use causeway_oidc::{ClerkSession, Person, ProviderError, VerifyError};
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::register::REGISTER;
use super::session::{Assurance, Opening};
use super::{AuthService, as_rpc};
use crate::domain::{AccountState, Identity, Member, PassedBy, Proof, Provider, Which, WorkspaceName};
use crate::error::AuthError;
use crate::store::history::Slice;

/// What a workspace is called that nobody named. Clerk's tokens say no name of the person.
const WORKSPACE_NAME: &str = "Personal workspace";

/// How many open sessions a person keeps when another one is exchanged.
const MOST_SESSIONS: usize = 50;

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
        self.open_exchanged(ctx, request, wanted, of_clerk(proven)).await
    }

    /// The same for a token of Clerk or of a provider at which people sign in here (RFC 8693). Which of them made it is
    /// seen by whose key signed it: nothing of a token is believed, or even read, before.
    ///
    /// # Errors
    /// As [`AuthService::exchange`]; [`AuthError::RegistrationClosed`] for a person whom nobody knows here.
    pub(crate) async fn exchange_any(
        &self,
        ctx: &CallContext,
        request: ExchangeRequest,
    ) -> Result<Exchanged, AuthError> {
        let wanted = self.wanted_workspace(&request.workspace_id)?;
        let proven = self.prove_any(ctx, &request.token).await?;
        self.open_exchanged(ctx, request, wanted, proven).await
    }

    /// What a token proves to one of those who are believed. While one of them cannot be asked, nobody can tell what a
    /// token is worth that no other knows (EXC-08).
    async fn prove_any(&self, ctx: &CallContext, token: &SecretString) -> Result<Proven, AuthError> {
        let mut answer = Err(AuthError::ExchangeDisabled);
        if let Some(clerk) = &self.clerk {
            answer = clerk.prove(token, ctx.now).await.map(of_clerk).map_err(refused);
        }
        for (name, provider) in self.sign_ins.all() {
            if let Ok(_) | Err(AuthError::SessionPending) = answer {
                break;
            }
            let person = provider.verify(token.expose_secret(), ctx.now).await;
            let proven = person.map(|person| of_person(name, person)).map_err(no_subject);
            answer = match (answer, proven) {
                (Err(away @ AuthError::KeysAway(_)), Err(_)) => Err(away),
                (_, proven) => proven,
            };
        }
        answer
    }

    async fn open_exchanged(
        &self,
        ctx: &CallContext,
        request: ExchangeRequest,
        wanted: Option<WorkspaceId>,
        proven: Proven,
    ) -> Result<Exchanged, AuthError> {
        let open = proven.identity.provider == Provider::Clerk || self.sign_ins.open;
        let user = self.member(ctx, proven.identity, open).await?;
        // Before anything is said of workspaces: whoever is kept out hears what a stranger hears (EXC-07).
        if self.store.is_disabled(user).await? {
            return Err(AuthError::SubjectRefused);
        }
        let membership = self.enter(ctx, user, wanted).await?;
        // Who acts in the name of another does so for as long as the provider's token says (EXC-04).
        let lasting = request.refresh && proven.actor.is_none();
        let ends = proven.ends.filter(|_| proven.actor.is_some());
        let refresh = lasting.then(|| self.refresh_key.first());
        let opening = Opening {
            user,
            membership: &membership,
            assurance: Assurance {
                factor: proven.second_factor.then_some(PassedBy::Provider),
                act: proven.actor,
                scope: request.scope,
                enrolled: false,
                ends,
            },
            refresh: refresh.as_ref(),
            // Whatever it is exchanged for, it is exchanged once (EXC-06).
            proof: proven.once,
            password: None,
            asks_factor: false,
        };
        let details = proven.details;
        let opened = self.open(ctx, opening, |fact| {
            details
                .into_iter()
                .fold(fact, |fact, (key, value)| fact.detail(key, value))
        });
        let (session, access) = opened.await?;
        if lasting {
            self.end_oldest(ctx, user).await?;
        }
        Ok(Exchanged {
            access,
            access_life: self.access_life_until(ctx, ends),
            refresh,
            workspace: membership.workspace,
            session,
        })
    }

    /// Ends the sessions of a person that are older than the newest [`MOST_SESSIONS`]: whoever holds the provider's session
    /// may exchange it as often as it makes tokens (EXC-06).
    async fn end_oldest(&self, ctx: &CallContext, user: UserId) -> Result<(), AuthError> {
        let slice = Slice {
            size: MOST_SESSIONS + 10,
            before: None,
        };
        let open = self
            .store
            .list_sessions(user, Which::default(), ctx.now, slice)
            .await?;
        for session in open.iter().skip(MOST_SESSIONS) {
            self.close(ctx, session, "too_many_sessions").await?;
        }
        Ok(())
    }

    /// The person of an identity; made if this is the first time and anybody may come.
    ///
    /// # Errors
    /// [`AuthError::RegistrationClosed`], or a part that is away.
    pub(super) async fn member(
        &self,
        ctx: &CallContext,
        identity: Identity,
        open: bool,
    ) -> Result<UserId, AuthError> {
        let member = match self.store.find_identity(&identity).await? {
            Some(member) => member,
            None if open => self.store.claim_identity(&newcomer(ctx, identity)).await?,
            None => return Err(AuthError::RegistrationClosed),
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

/// What the token of an identity provider proves.
struct Proven {
    identity: Identity,
    second_factor: bool,
    actor: Option<Actor>,
    /// The token as something that may be used once, if it has an id.
    once: Option<Proof>,
    /// When the token ends, if somebody may act for as long.
    ends: Option<DateTime<Utc>>,
    /// What the log is told.
    details: Vec<(&'static str, String)>,
}

fn of_clerk(session: ClerkSession) -> Proven {
    let once = session
        .token
        .as_deref()
        .map(|id| Proof::new(&session.issuer, id, session.expires_at));
    let details = [
        ("method", Some(Provider::Clerk.as_str().to_owned())),
        ("provider_session", session.session),
        ("organization", session.organization.map(|active| active.id)),
        ("actor", session.actor.as_ref().map(|actor| actor.sub.clone())),
    ];
    Proven {
        identity: Identity {
            provider: Provider::Clerk,
            issuer: session.issuer,
            subject: session.subject,
        },
        second_factor: session.second_factor,
        actor: session.actor,
        once,
        ends: Some(session.expires_at),
        details: details
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect(),
    }
}

fn of_person(provider: &str, person: Person) -> Proven {
    Proven {
        identity: Identity {
            provider: Provider::Oidc,
            issuer: person.issuer,
            subject: person.subject,
        },
        second_factor: false,
        actor: None,
        once: None,
        ends: None,
        details: vec![("method", provider.to_owned())],
    }
}

/// As for a token of Clerk.
fn no_subject(error: ProviderError) -> AuthError {
    match super::oidc::refused(error) {
        AuthError::SignIn(_) => AuthError::SubjectRefused,
        other => other,
    }
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
