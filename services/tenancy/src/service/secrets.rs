//! Secrets: sealed under the data key of their workspace, shown only through a reveal that the log has.

use causeway_context::{CallContext, WorkspaceId};
use causeway_crypto::{Associated, open, seal};
use causeway_outbox::OutboxEvent;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{ATTEMPTS, Tenancy};
use crate::domain::{Ring, Secret, SecretKind, SecretName};
use crate::error::TenancyError;
use crate::page::{self, Page};
use crate::store::StoreError;

impl Tenancy {
    /// Seals and stores a secret; replaces an existing one.
    pub(crate) async fn put_secret(
        &self,
        ctx: &CallContext,
        name: &SecretName,
        kind: SecretKind,
        value: &SecretString,
    ) -> Result<Secret, TenancyError> {
        let workspace = ctx.workspace()?;
        for _ in 0..ATTEMPTS {
            let before = self.store.find_secret(workspace, name).await?;
            let secret = self
                .sealed(ctx, workspace, name, kind, value, before.as_ref())
                .await?;
            let fact = OutboxEvent::of(ctx)?
                .target("secret", name.as_str())
                .detail("kind", kind.as_str())
                .detail("version", secret.version);
            let fact_id = fact.id;
            let stored = match before {
                None => self.store.insert_secret(&secret, fact).await,
                Some(_) => self.store.replace_secret(&secret, fact).await,
            };
            match stored {
                Ok(()) => {
                    self.relay.delivered(fact_id).await;
                    return Ok(secret);
                }
                // The version is part of what is authenticated: seal again for the next one.
                Err(StoreError::Conflict) => {}
                // So is the data key, which was replaced meanwhile (ROT-05).
                Err(StoreError::Fenced) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(TenancyError::Contended)
    }

    async fn sealed(
        &self,
        ctx: &CallContext,
        workspace: WorkspaceId,
        name: &SecretName,
        kind: SecretKind,
        value: &SecretString,
        before: Option<&Secret>,
    ) -> Result<Secret, TenancyError> {
        let data_key = self.keys.active(workspace, Ring::Data, ctx.now).await?;
        let mut secret = Secret {
            workspace,
            id: before.map_or_else(Uuid::now_v7, |before| before.id),
            name: name.clone(),
            kind,
            version: before
                .map_or(Some(1), |before| before.version.checked_add(1))
                .ok_or(TenancyError::Contended)?,
            key_version: data_key.version,
            sealed: Vec::new(),
            created_at: before.map_or(ctx.now, |before| before.created_at),
            updated_at: ctx.now,
        };
        let value = value.expose_secret().as_bytes();
        secret.sealed = with_place(&secret, |place| {
            seal(&data_key.key, data_key.version, value, place)
        })?;
        Ok(secret)
    }

    /// What is known of a secret.
    pub(crate) async fn secret(&self, ctx: &CallContext, name: &SecretName) -> Result<Secret, TenancyError> {
        self.store
            .find_secret(ctx.workspace()?, name)
            .await?
            .ok_or(TenancyError::SecretNotFound)
    }

    /// The secrets of the workspace of the call.
    pub(crate) async fn secrets(
        &self,
        ctx: &CallContext,
        page: &Page<SecretName>,
    ) -> Result<(Vec<Secret>, String), TenancyError> {
        let mut secrets = self
            .store
            .list_secrets(ctx.workspace()?, &page::with_one_more(page))
            .await?;
        let next = page::cut(&mut secrets, page.size, |secret| secret.name.clone());
        Ok((secrets, next))
    }

    /// Forgets a secret.
    pub(crate) async fn delete_secret(
        &self,
        ctx: &CallContext,
        name: &SecretName,
    ) -> Result<(), TenancyError> {
        let fact = OutboxEvent::of(ctx)?.target("secret", name.as_str());
        let fact_id = fact.id;
        if !self.store.delete_secret(ctx.workspace()?, name, fact).await? {
            return Err(TenancyError::SecretNotFound);
        }
        self.relay.delivered(fact_id).await;
        Ok(())
    }

    /// The value of a secret and its version, once the audit log has it that it was read.
    pub(crate) async fn reveal_secret(
        &self,
        ctx: &CallContext,
        name: &SecretName,
    ) -> Result<(SecretString, u32), TenancyError> {
        let secret = self.secret(ctx, name).await?;
        let (secret, value) = self.disclose(ctx, secret).await?;
        Ok((value, secret.version))
    }

    /// What a secret holds, and the row as it was then, once the audit log has it that the call discloses it. If the log
    /// does not answer in time nothing is shown, though the log will say later that it was: the safe way to be wrong.
    pub(crate) async fn disclose(
        &self,
        ctx: &CallContext,
        secret: Secret,
    ) -> Result<(Secret, SecretString), TenancyError> {
        let (secret, value) = self.read(secret).await?;
        let fact = OutboxEvent::of(ctx)?
            .in_workspace(secret.workspace)
            .target("secret", secret.name.as_str())
            .detail("version", secret.version);
        let fact_id = fact.id;
        self.store.record(fact).await?;
        if !self.relay.delivered(fact_id).await {
            return Err(TenancyError::AuditUnavailable);
        }
        Ok((secret, value))
    }

    /// A secret and its value. Since the row was read a rotation may have sealed it anew and destroyed its key: then the
    /// row is read again.
    async fn read(&self, mut secret: Secret) -> Result<(Secret, SecretString), TenancyError> {
        loop {
            let gone = match self.opened(&secret).await {
                Err(gone @ TenancyError::KeyDestroyed(_)) => gone,
                value => return Ok((secret, value?)),
            };
            let again = self.store.find_secret(secret.workspace, &secret.name).await?;
            let again = again.ok_or(TenancyError::SecretNotFound)?;
            if again.sealed == secret.sealed {
                return Err(gone);
            }
            secret = again;
        }
    }

    async fn opened(&self, secret: &Secret) -> Result<SecretString, TenancyError> {
        let data_key = self
            .keys
            .version(secret.workspace, Ring::Data, secret.key_version)
            .await?;
        let value = with_place(secret, |place| open(&data_key.key, &secret.sealed, place))?;
        let value = std::str::from_utf8(&value).map_err(|_| TenancyError::NotText)?;
        Ok(SecretString::from(value))
    }
}

/// Calls `crypt` with the place to which a secret's value belongs: this row under this name, in this version.
pub(crate) fn with_place<T>(secret: &Secret, crypt: impl FnOnce(&Associated<'_>) -> T) -> T {
    let row = format!("{}:{}", secret.id, secret.name);
    crypt(&Associated {
        workspace: secret.workspace.0,
        table: "tenancy.secrets",
        column: "sealed",
        row: &row,
        version: secret.version,
        purpose: secret.kind.as_str(),
    })
}
