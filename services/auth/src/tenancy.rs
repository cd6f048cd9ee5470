//! What auth asks the tenancy service: to make a first workspace, and where a person belongs.

use async_trait::async_trait;
use causeway_context::{Caller, RequestId, UserId, WorkspaceId};
use causeway_contracts::tenancy::v1 as wire;
use causeway_contracts::tenancy::v1::tenancy_service_client::TenancyServiceClient;
use causeway_mesh::{Mesh, MeshChannel, OnBehalf};
use tonic::{Code, Request, Status};

use crate::domain::WorkspaceName;

/// One workspace of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    /// The workspace.
    pub(crate) workspace: WorkspaceId,
    /// Its name.
    pub(crate) name: String,
    /// The word of the person's role there.
    pub(crate) role: String,
}

/// Tenancy did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TenancyError {
    /// It does not answer now.
    #[error("tenancy is away")]
    Away(#[source] Box<Status>),
    /// It refused, which it has no reason to.
    #[error("tenancy refused")]
    Answer(#[source] Box<Status>),
    /// Its answer cannot be read.
    #[error("tenancy answered with an id that is none")]
    Malformed,
}

/// The tenancy service as auth sees it.
#[async_trait]
pub(crate) trait Tenancy: Send + Sync + 'static {
    /// Makes a workspace with that id, once, however often it is asked for.
    async fn provision(
        &self,
        request: &RequestId,
        workspace: WorkspaceId,
        name: &WorkspaceName,
        owner: UserId,
    ) -> Result<(), TenancyError>;

    /// Where the person belongs, the oldest workspace first.
    async fn memberships(&self, request: &RequestId, user: UserId) -> Result<Vec<Membership>, TenancyError>;
}

/// The tenancy service over the mesh.
#[derive(Clone)]
pub(crate) struct MeshTenancy(TenancyServiceClient<MeshChannel>);

impl MeshTenancy {
    /// The tenancy service of that mesh.
    pub(crate) fn new(mesh: &Mesh) -> Self {
        Self(TenancyServiceClient::new(mesh.to("tenancy")))
    }
}

#[async_trait]
impl Tenancy for MeshTenancy {
    async fn provision(
        &self,
        request: &RequestId,
        workspace: WorkspaceId,
        name: &WorkspaceName,
        owner: UserId,
    ) -> Result<(), TenancyError> {
        let message = wire::ProvisionWorkspaceRequest {
            workspace_id: workspace.to_string(),
            name: name.as_str().to_owned(),
            owner_user_id: owner.to_string(),
        };
        self.0
            .clone()
            .provision_workspace(ours(request, message))
            .await
            .map_err(classify)?;
        Ok(())
    }

    async fn memberships(&self, request: &RequestId, user: UserId) -> Result<Vec<Membership>, TenancyError> {
        let message = wire::ListMembershipsRequest {
            user_id: user.to_string(),
        };
        let answer = self
            .0
            .clone()
            .list_memberships(ours(request, message))
            .await
            .map_err(classify)?;
        answer.into_inner().memberships.into_iter().map(decode).collect()
    }
}

/// A call of the service itself that keeps the id of the request at the door.
fn ours<T>(request_id: &RequestId, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(OnBehalf {
        caller: Caller::service("auth"),
        request_id: request_id.clone(),
    });
    request
}

fn decode(membership: wire::Membership) -> Result<Membership, TenancyError> {
    let workspace = membership.workspace.ok_or(TenancyError::Malformed)?;
    Ok(Membership {
        workspace: workspace.id.parse().map_err(|_| TenancyError::Malformed)?,
        name: workspace.name,
        role: membership.role,
    })
}

fn classify(status: Status) -> TenancyError {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted => {
            TenancyError::Away(Box::new(status))
        }
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => TenancyError::Answer(Box::new(status)),
    }
}
