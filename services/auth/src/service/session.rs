//! What every way in ends with: a session is opened.

use causeway_context::{CallContext, SessionId, UserId};
use causeway_crypto::Actor;
use causeway_outbox::OutboxEvent;
use secrecy::{ExposeSecret as _, SecretString};

use super::AuthService;
use crate::domain::{NewSession, Proof, Session};
use crate::error::AuthError;
use crate::tenancy::Membership;

/// What the way in proved beside the person.
#[derive(Debug, Clone, Default)]
pub(super) struct Assurance {
    /// A second factor was passed.
    pub(super) mfa: bool,
    /// Somebody acts in the name of the person.
    pub(super) act: Option<Actor>,
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
}

impl AuthService {
    /// Opens a session and signs its first access token. `describe` adds to the fact how the person came in.
    ///
    /// # Errors
    /// [`AuthError::SubjectRefused`] if the proof was used before, or a part that is away.
    pub(super) async fn open(
        &self,
        ctx: &CallContext,
        opening: Opening<'_>,
        describe: impl FnOnce(OutboxEvent) -> OutboxEvent,
    ) -> Result<(SessionId, SecretString), AuthError> {
        let session = Session {
            id: SessionId::generate(),
            user: opening.user,
            workspace: opening.membership.workspace,
            opened_at: ctx.now,
            closed_at: None,
        };
        let id = session.id;
        let access = self.access_token(ctx, &session, opening.membership, opening.assurance)?;
        let token = opening
            .refresh
            .map(|text| self.refresh_token(ctx, id, text.expose_secret()));
        let fact = OutboxEvent::of(ctx)?
            .in_workspace(session.workspace)
            .by_user(session.user)
            .target("session", id.to_string());
        let fact = describe(fact);
        let fact_id = fact.id;
        let new = NewSession {
            session,
            token,
            proof: opening.proof,
        };
        if !self.store.open_session(&new, fact).await? {
            tracing::info!(
                reason = "used",
                "a token that had opened a session came again and was refused"
            );
            return Err(AuthError::SubjectRefused);
        }
        self.settle(fact_id).await;
        Ok((id, access))
    }
}
