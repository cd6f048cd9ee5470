//! The tenancy service over the mesh.

use std::time::Duration;

use async_trait::async_trait;
use causeway_context::{Caller, RequestId, WorkspaceId};
use causeway_contracts::tenancy::v1::settings_service_client::SettingsServiceClient;
use causeway_contracts::tenancy::v1::{GetAiOverrideRequest, GetAiOverrideResponse};
use causeway_errors::{ApiError, Code};
use causeway_mesh::{Mesh, MeshChannel, OnBehalf};
use tonic::{Request, Status};

use super::{Override, TenantAi};
use crate::NAME;

/// How long tenancy may think; it waits for the audit log.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks tenancy.
pub(crate) struct MeshTenantAi(SettingsServiceClient<MeshChannel>);

impl MeshTenantAi {
    /// The tenancy service of that mesh.
    pub(crate) fn new(mesh: &Mesh) -> Self {
        Self(SettingsServiceClient::new(mesh.to("tenancy")))
    }
}

#[async_trait]
impl TenantAi for MeshTenantAi {
    async fn find(&self, request: &RequestId, workspace: WorkspaceId) -> Result<Option<Override>, ApiError> {
        let mut message = Request::new(GetAiOverrideRequest {
            workspace_id: workspace.to_string(),
        });
        message.extensions_mut().insert(OnBehalf {
            caller: Caller::service(NAME),
            request_id: request.clone(),
        });
        let mut tenancy = self.0.clone();
        match tokio::time::timeout(PATIENCE, tenancy.get_ai_override(message)).await {
            Ok(Ok(answer)) => Ok(decode(answer.into_inner())),
            Ok(Err(status)) => Err(refused(status)),
            Err(_) => Err(ApiError::unavailable("TENANCY_UNAVAILABLE")),
        }
    }
}

fn decode(answer: GetAiOverrideResponse) -> Option<Override> {
    let given = |text: String| (!text.is_empty()).then_some(text);
    // Wrapped first, so that it is overwritten when it is not used.
    let key = given(answer.key).map(Into::into);
    Some(Override {
        provider: given(answer.provider)?,
        model: given(answer.model),
        base_url: given(answer.base_url),
        key,
        key_missing: answer.key_missing,
    })
}

/// What tenancy says about the workspace goes on to the caller; what it says about us is a failure of ours.
fn refused(status: Status) -> ApiError {
    match status.code() {
        Code::Unavailable | Code::NotFound | Code::DataLoss => ApiError::from(status),
        Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted => {
            ApiError::unavailable("TENANCY_UNAVAILABLE")
        }
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::Unauthenticated => {
            tracing::error!(code = ?status.code(), "tenancy does not tell which model answers in a workspace");
            ApiError::internal()
        }
    }
}
