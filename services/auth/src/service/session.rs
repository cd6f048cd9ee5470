//! What every way in ends with: a session is opened.

use causeway_context::{CallContext, SessionId, UserId};
use causeway_crypto::Actor;
use causeway_outbox::OutboxEvent;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::AuthService;
use crate::domain::{NewSession, Opened, PassedBy, PasswordHash, Proof, RefreshToken, Session, Trace};
use crate::error::AuthError;
use crate::oauth::OauthError;
use crate::tenancy::Membership;

/// What the way in proved beside the person.
#[derive(Debug, Clone, Default)]
pub(super) struct Assurance {
    /// By what a second factor was passed.
    pub(super) factor: Option<PassedBy>,
    /// Whether the person has one here.
    pub(super) enrolled: bool,
    /// Somebody acts in the name of the person.
    pub(super) act: Option<Actor>,
    /// To which permissions the access token is narrowed; empty narrows nothing.
    pub(super) scope: Vec<String>,
    /// When the access token ends at the latest.
    pub(super) ends: Option<DateTime<Utc>>,
}

impl Assurance {
    /// Checks that the person may do what the token is to say: a scope narrows and never widens (REF-01).
    ///
    /// # Errors
    /// [`OauthError::InvalidScope`].
    pub(super) fn is_held(&self, membership: &Membership) -> Result<(), OauthError> {
        let held = membership.permissions();
        match self.scope.iter().all(|scope| held.contains(scope)) {
            true => Ok(()),
            false => Err(OauthError::InvalidScope),
        }
    }
}

/// A session to open.
pub(super) struct Opening<'a> {
    /// Whose.
    pub(super) user: UserId,
    /// Where.
    pub(super) membership: &'a Membership,
    /// What was proven.
    pub(super) assurance: Assurance,
    /// The text of its first refresh token, if it gets one.
    pub(super) refresh: Option<&'a SecretString>,
    /// What may open a session once only.
    pub(super) proof: Option<Proof>,
    /// The password that was proven: a session does not open by one that is changed meanwhile.
    pub(super) password: Option<PasswordHash>,
    /// Whether the way in asks for a second factor where there is one.
    pub(super) asks_factor: bool,
}

impl AuthService {
    /// Until when a session lives that nobody uses: as long as its refresh token, or its first access token.
    fn idle_until(
        &self,
        ctx: &CallContext,
        token: Option<&RefreshToken>,
        ends: Option<DateTime<Utc>>,
    ) -> DateTime<Utc> {
        let access = ctx.now + self.access_life_until(ctx, ends);
        token.map_or(access, |token| token.expires_at)
    }

    /// How long an access token lives that ends at `ends` at the latest, which may be a second ago by our clock.
    pub(super) fn access_life_until(&self, ctx: &CallContext, ends: Option<DateTime<Utc>>) -> TimeDelta {
        let rest = ends.map_or(self.access_life, |ends| ends - ctx.now);
        rest.clamp(TimeDelta::seconds(1), self.access_life)
    }

    /// Opens a session and signs its first access token. `describe` adds to the fact how the person came in.
    ///
    /// # Errors
    /// [`AuthError::SubjectRefused`] if the proof was used before, [`AuthError::InvalidCredentials`] if the password was
    /// changed or a second factor confirmed meanwhile, one of the two if the person is kept out, or a part that is away.
    pub(super) async fn open(
        &self,
        ctx: &CallContext,
        mut opening: Opening<'_>,
        describe: impl FnOnce(OutboxEvent) -> OutboxEvent,
    ) -> Result<(SessionId, SecretString), AuthError> {
        let mut session = Session {
            id: SessionId::generate(),
            user: opening.user,
            workspace: opening.membership.workspace,
            trace: Trace::default(),
            opened_at: ctx.now,
            last_used_at: ctx.now,
            idle_until: ctx.now,
            expires_at: ctx.now + self.session_life,
            closed_at: None,
        };
        let id = session.id;
        opening.assurance.is_held(opening.membership)?;
        let standing = self.store.standing(session.user, id.0).await?;
        opening.assurance.enrolled = standing.enrolled;
        if let Some(by) = opening.assurance.factor {
            // Before there is a session: one that passed a factor must never be without the mark of it.
            self.store.pass_factor(session.user, id.0, by, ctx.now).await?;
        }
        let ends = opening.assurance.ends;
        let without_factor = opening.asks_factor && opening.assurance.factor.is_none();
        let access = self.access_token(ctx, &session, opening.membership, opening.assurance)?;
        let token = opening
            .refresh
            .map(|text| self.refresh_token(ctx, &session, text.expose_secret()));
        session.idle_until = self.idle_until(ctx, token.as_ref(), ends);
        if token.is_none() {
            // Nothing continues it.
            session.expires_at = session.idle_until;
        }
        let fact = OutboxEvent::of(ctx)?
            .in_workspace(session.workspace)
            .by_user(session.user)
            .target("session", id.to_string());
        let fact = describe(fact);
        // The fact says how the person came; so does the session.
        let method = fact.details.get("method").and_then(|method| method.as_str());
        session.trace = Trace::of(method.unwrap_or_default(), ctx.remote.as_ref());
        let fact_id = fact.id;
        let new = NewSession {
            session,
            token,
            proof: opening.proof,
            password: opening.password,
            without_factor,
        };
        let by_password = new.password.is_some();
        match self.store.open_session(&new, fact).await? {
            Opened::Done => {}
            Opened::PasswordChanged | Opened::FactorConfirmed => return Err(AuthError::InvalidCredentials),
            // What a stranger hears (EXC-07).
            Opened::Disabled if by_password => return Err(AuthError::InvalidCredentials),
            Opened::Disabled => return Err(AuthError::SubjectRefused),
            Opened::ProofUsed => {
                tracing::info!(
                    reason = "used",
                    "a token that had opened a session came again and was refused"
                );
                return Err(AuthError::SubjectRefused);
            }
        }
        self.settle(fact_id).await;
        Ok((id, access))
    }
}
