//! Credentials that were found where they should not be (TOK-05): ended at once, and their owners are told.

use causeway_context::{CallContext, UserId};
use causeway_crypto::token;
use causeway_outbox::OutboxEvent;
use causeway_revocation::Ended;
use chrono::TimeDelta;
use secrecy::{ExposeSecret as _, SecretString};

use super::AuthService;
use super::introspect::{Presented, TokenType};
use super::revoke::{Because, told};
use super::standing::Credential;
use crate::domain::{Client, ClientSecret};
use crate::error::AuthError;
use crate::mailer::Notice;
use crate::oauth::OauthError;
use crate::store::Revoked;

const LONGEST_PLACE: usize = 200;
/// How often a change is tried again that somebody else was faster with.
const TRIES: usize = 3;
/// Under this kind the mails of one address are counted.
const MAILS: &str = "leaked";

impl AuthService {
    /// Ends a credential that somebody found: possession is authority. Its owner learns of it by mail and from the log.
    ///
    /// # Errors
    /// [`AuthError::Oauth`] for a request without a token, or a part that is away.
    pub(crate) async fn report_leak(
        &self,
        ctx: &CallContext,
        text: &SecretString,
        found_at: &str,
    ) -> Result<(), AuthError> {
        if text.expose_secret().is_empty() {
            return Err(OauthError::InvalidRequest("token is missing").into());
        }
        if found_at.chars().count() > LONGEST_PLACE || found_at.chars().any(char::is_control) {
            return Err(
                OauthError::InvalidRequest("found_at must be one line of at most 200 characters").into(),
            );
        }
        // The place may repeat the token, and the log must not.
        if found_at.contains(text.expose_secret()) {
            return Err(OauthError::InvalidRequest("found_at must not hold the token").into());
        }
        self.end_leaked(ctx, text, found_at).await.map(drop)
    }

    /// Ends whatever credential a text is; answers whether it is one of ours at all.
    ///
    /// # Errors
    /// A part that is away.
    pub(super) async fn end_leaked(
        &self,
        ctx: &CallContext,
        text: &SecretString,
        found_at: &str,
    ) -> Result<bool, AuthError> {
        if token::check(token::CLIENT_SECRET, text.expose_secret()) {
            return self.end_leaked_secret(ctx, text, found_at).await;
        }
        let Some(presented) = self.presented(ctx, text).await? else {
            return Ok(false);
        };
        let (owner, kind) = (self.owner_of(&presented).await?, presented.kind());
        if self.end(ctx, presented, Because::Leaked(found_at)).await?
            && let Some(owner) = owner
        {
            self.tell_owner(ctx, owner, kind).await;
        }
        Ok(true)
    }

    /// Takes a secret away from the client that has it, and ends the access tokens which it may have been used for.
    async fn end_leaked_secret(
        &self,
        ctx: &CallContext,
        text: &SecretString,
        found_at: &str,
    ) -> Result<bool, AuthError> {
        for _ in 0..TRIES {
            let Some((mut client, secret)) = self.client_with(ctx, text).await? else {
                return Ok(false);
            };
            let fact = OutboxEvent::of(ctx)?;
            let fact = told(fact, TokenType::ClientSecret, Because::Leaked(found_at))
                .in_workspace(client.workspace)
                .by_user(client.granted_by)
                .target("client", client.id.to_string())
                .detail("last_four", secret.last_four);
            client.drop_secret(secret.id, ctx.now);
            // Those too that another replica gives meanwhile, which remembers the secret; what the client gets in that time
            // by its other secret is lost with them.
            let until = ctx.now + super::verified::FRESH + TimeDelta::seconds(1);
            let ended = Revoked::before(Ended::Client(client.id.0), until, self.access_life);
            let owner = client.granted_by;
            match self.keep_client(client, Some(ended), fact).await {
                Ok(_) => {
                    self.tell_owner(ctx, owner, TokenType::ClientSecret).await;
                    return Ok(true);
                }
                Err(AuthError::ClientChanged) => {}
                Err(error) => return Err(error),
            }
        }
        Err(AuthError::ClientChanged)
    }

    /// The client that has that secret in force, whichever it is: the text does not say it.
    async fn client_with(
        &self,
        ctx: &CallContext,
        text: &SecretString,
    ) -> Result<Option<(Client, ClientSecret)>, AuthError> {
        let forms = self.peppers.forms(text.expose_secret());
        let Some((workspace, id)) = self.store.client_of_secret(&forms.hashes()).await? else {
            return Ok(None);
        };
        let client = self.store.find_client(workspace, id).await?;
        Ok(client.and_then(|client| {
            let secret = client.matching(&forms, ctx.now)?.clone();
            Some((client, secret))
        }))
    }

    /// Who has to know that something ended; nobody if the machine's credential itself is gone.
    async fn owner_of(&self, presented: &Presented) -> Result<Option<UserId>, AuthError> {
        Ok(match presented {
            Presented::Refresh(found) => Some(found.session.user),
            Presented::OfSession(_, session) => Some(session.user),
            Presented::Opaque(token) => Some(token.user),
            Presented::OfMachine(claims, workspace) => {
                match claims.client_id.as_deref().map(str::parse::<Credential>) {
                    Some(Ok(Credential::Client(id))) => {
                        let client = self.store.find_client(*workspace, id).await?;
                        client.map(|client| client.granted_by)
                    }
                    Some(Ok(Credential::Token(id))) => {
                        let token = self.store.token_by_id(*workspace, id).await?;
                        token.map(|token| token.user)
                    }
                    Some(Err(_)) | None => None,
                }
            }
        })
    }

    /// Mails the owner. What ended has ended, whether or not the mail can be written; the log has it too.
    async fn tell_owner(&self, ctx: &CallContext, owner: UserId, kind: TokenType) {
        if let Err(error) = self.mail_owner(ctx, owner, kind).await {
            tracing::warn!(error = &error as &dyn std::error::Error, %owner, "mail the owner of what was found");
        }
    }

    /// The place is left out: whoever reports it chooses its text, and a mail of ours must not lead elsewhere.
    async fn mail_owner(&self, ctx: &CallContext, owner: UserId, kind: TokenType) -> Result<(), AuthError> {
        let Some(account) = self.store.find_account(owner).await? else {
            return Ok(());
        };
        if self.may_mail(ctx, MAILS, account.email.as_str()).await? {
            self.mail.notify(Notice {
                to: account.email,
                what: kind.in_words(),
            });
        }
        Ok(())
    }
}
