//! What auth asks the key service of tenancy: to seal and to open seeds. The data keys stay there.

use async_trait::async_trait;
use causeway_context::{RequestId, UserId, WorkspaceId};
use causeway_contracts::tenancy::v1 as wire;
use zeroize::Zeroizing;

use crate::domain::{SealedSeed, Seed};
use crate::tenancy::{MeshTenancy, TenancyError, classify, ours};

/// Where a seed lies, authenticated with it: the person is the row (MFA-01). The registry of sealed columns says the same.
pub(crate) const TABLE: &str = "auth.factors";
/// See [`TABLE`].
pub(crate) const COLUMN: &str = "seed";
/// See [`TABLE`].
pub(crate) const PURPOSE: &str = "totp";
/// A row is written once; another enrolment is another row.
pub(crate) const VERSION: i32 = 1;

/// Seals and opens seeds under the data key of a workspace.
#[async_trait]
pub(crate) trait Sealer: Send + Sync + 'static {
    /// Seals under the newest data key of the workspace.
    async fn seal(
        &self,
        request: &RequestId,
        workspace: WorkspaceId,
        user: UserId,
        seed: &Seed,
    ) -> Result<SealedSeed, TenancyError>;

    /// Opens. Nothing if it does not open, as when the key was destroyed.
    async fn open(
        &self,
        request: &RequestId,
        workspace: WorkspaceId,
        user: UserId,
        sealed: &SealedSeed,
    ) -> Result<Option<Seed>, TenancyError>;
}

#[async_trait]
impl Sealer for MeshTenancy {
    async fn seal(
        &self,
        request: &RequestId,
        workspace: WorkspaceId,
        user: UserId,
        seed: &Seed,
    ) -> Result<SealedSeed, TenancyError> {
        let message = wire::SealFieldsRequest {
            workspace_id: workspace.to_string(),
            fields: vec![wire::FieldToSeal {
                place: Some(place(user)),
                plaintext: seed.as_bytes().to_vec(),
            }],
        };
        let answer = self.keys.clone().seal_fields(ours(request, message)).await;
        let mut fields = answer.map_err(classify)?.into_inner().fields;
        match (fields.pop(), fields.is_empty()) {
            (Some(field), true) => Ok(SealedSeed {
                sealed: field.sealed,
                key_version: field.key_version,
            }),
            _ => Err(TenancyError::Malformed),
        }
    }

    async fn open(
        &self,
        request: &RequestId,
        workspace: WorkspaceId,
        user: UserId,
        sealed: &SealedSeed,
    ) -> Result<Option<Seed>, TenancyError> {
        let message = wire::OpenFieldsRequest {
            workspace_id: workspace.to_string(),
            fields: vec![wire::FieldToOpen {
                place: Some(place(user)),
                sealed: sealed.sealed.clone(),
            }],
        };
        let answer = self.keys.clone().open_fields(ours(request, message)).await;
        let mut fields = answer.map_err(classify)?.into_inner().fields;
        match (fields.pop(), fields.is_empty()) {
            (Some(field), true) => Ok(field.plaintext.map(|bytes| Seed::opened(Zeroizing::new(bytes)))),
            _ => Err(TenancyError::Malformed),
        }
    }
}

fn place(user: UserId) -> wire::FieldPlace {
    wire::FieldPlace {
        table: TABLE.to_owned(),
        column: COLUMN.to_owned(),
        row: user.to_string(),
        version: VERSION,
        purpose: PURPOSE.to_owned(),
    }
}
