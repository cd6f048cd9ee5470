//! What auth asks the tenancy service: to make a first workspace, and where a person belongs.

use std::sync::Arc;

use async_trait::async_trait;
use causeway_context::{Caller, Held, RequestId, UserId, WorkspaceId};
use causeway_contracts::tenancy::v1 as wire;
use causeway_contracts::tenancy::v1::key_service_client::KeyServiceClient;
use causeway_contracts::tenancy::v1::tenancy_service_client::TenancyServiceClient;
use causeway_contracts::{PermissionSet, Role};
use causeway_mesh::{Mesh, MeshChannel, OnBehalf};
use tonic::{Code, Request, Status};

use crate::domain::WorkspaceName;
use crate::sealer::Sealer;
use crate::together::Together;

/// One workspace of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Membership {
    /// The workspace.
    pub(crate) workspace: WorkspaceId,
    /// Its name.
    pub(crate) name: String,
    /// The person's role there: the word of a built-in one, or the id of a custom one.
    pub(crate) role: String,
    /// What a custom role holds; of no meaning for a built-in one.
    pub(crate) custom: PermissionSet,
    /// Whether it demands a second factor (`mfa_policy`).
    pub(crate) mfa_required: bool,
}

impl Membership {
    /// What the role holds now. A role that this version does not know holds nothing.
    pub(crate) fn permissions(&self) -> PermissionSet {
        Role::parse(&self.role).map_or(self.custom, PermissionSet::of_role)
    }

    /// What the person is there.
    pub(crate) fn held(&self) -> Held {
        Held {
            roles: vec![self.role.clone()],
            permissions: self.permissions(),
        }
    }

    /// What an access token says beside the role, so that services can decide without asking (RBAC-03).
    pub(crate) fn claimed(&self) -> Option<String> {
        Role::parse(&self.role).is_none().then(|| self.custom.encode())
    }
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
pub(crate) trait Tenancy: Sealer {
    /// Makes a workspace with that id, once, however often it is asked for. With a single tenant the person joins that one
    /// instead; the answer says in which workspace the person is.
    async fn provision(
        &self,
        request: &RequestId,
        workspace: WorkspaceId,
        name: &WorkspaceName,
        owner: UserId,
    ) -> Result<WorkspaceId, TenancyError>;

    /// Where the person belongs, the oldest workspace first.
    async fn memberships(&self, request: &RequestId, user: UserId) -> Result<Vec<Membership>, TenancyError>;

    /// The person in one workspace; nothing for who does not belong to it.
    async fn membership(
        &self,
        request: &RequestId,
        user: UserId,
        workspace: WorkspaceId,
    ) -> Result<Option<Membership>, TenancyError> {
        let all = self.memberships(request, user).await?;
        Ok(all.into_iter().find(|one| one.workspace == workspace))
    }
}

/// The tenancy service over the mesh.
#[derive(Clone)]
pub(crate) struct MeshTenancy {
    tenancy: TenancyServiceClient<MeshChannel>,
    /// Where seeds of second factors are sealed.
    pub(crate) keys: KeyServiceClient<MeshChannel>,
    finding: Arc<Together<Place, Option<Membership>>>,
}

/// A person in a workspace.
type Place = (WorkspaceId, UserId);

impl MeshTenancy {
    /// The tenancy service of that mesh.
    pub(crate) fn new(mesh: &Mesh) -> Self {
        Self {
            tenancy: TenancyServiceClient::new(mesh.to("tenancy")),
            keys: KeyServiceClient::new(mesh.to("tenancy")),
            finding: Arc::new(Together::new(2)),
        }
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
    ) -> Result<WorkspaceId, TenancyError> {
        let message = wire::ProvisionWorkspaceRequest {
            workspace_id: workspace.to_string(),
            name: name.as_str().to_owned(),
            owner_user_id: owner.to_string(),
        };
        let answer = self
            .tenancy
            .clone()
            .provision_workspace(ours(request, message))
            .await;
        let made = answer.map_err(classify)?.into_inner().workspace;
        let id = made.ok_or(TenancyError::Malformed)?.id;
        id.parse().map_err(|_| TenancyError::Malformed)
    }

    async fn memberships(&self, request: &RequestId, user: UserId) -> Result<Vec<Membership>, TenancyError> {
        let message = wire::ListMembershipsRequest {
            user_id: user.to_string(),
            workspace_id: String::new(),
        };
        let answer = self
            .tenancy
            .clone()
            .list_memberships(ours(request, message))
            .await
            .map_err(classify)?;
        let wire::ListMembershipsResponse {
            memberships,
            mfa_workspace_ids,
            custom_grants,
        } = answer.into_inner();
        memberships
            .into_iter()
            .map(|membership| listed(membership, &mfa_workspace_ids, &custom_grants))
            .collect()
    }

    /// Asked together with those of others, who refresh their sessions at the same time. The call is that of one of them.
    async fn membership(
        &self,
        request: &RequestId,
        user: UserId,
        workspace: WorkspaceId,
    ) -> Result<Option<Membership>, TenancyError> {
        let place = (workspace, user);
        let together = |places: Vec<Place>| async move { self.find(request, &places).await };
        if let Some(found) = self.finding.ask(place, together).await? {
            return Ok(found);
        }
        Ok(self.find(request, &[place]).await?.pop().flatten())
    }
}

impl MeshTenancy {
    /// What each person is in the workspace beside, in their order.
    async fn find(
        &self,
        request: &RequestId,
        places: &[Place],
    ) -> Result<Vec<Option<Membership>>, TenancyError> {
        let asked = places.iter().map(|(workspace, user)| wire::MembershipPlace {
            workspace_id: workspace.to_string(),
            user_id: user.to_string(),
        });
        let message = wire::FindMembershipsRequest {
            places: asked.collect(),
        };
        let answer = self
            .tenancy
            .clone()
            .find_memberships(ours(request, message))
            .await
            .map_err(classify)?;
        let found = answer.into_inner().found;
        if found.len() != places.len() {
            return Err(TenancyError::Malformed);
        }
        let found = found.into_iter().zip(places);
        found
            .map(|(found, (workspace, _))| placed(found, *workspace))
            .collect()
    }
}

/// A call of the service itself that keeps the id of the request at the door.
pub(crate) fn ours<T>(request_id: &RequestId, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(OnBehalf {
        caller: Caller::service("auth"),
        request_id: request_id.clone(),
    });
    request
}

fn listed(
    membership: wire::Membership,
    demanding: &[String],
    custom: &[wire::CustomGrant],
) -> Result<Membership, TenancyError> {
    let workspace = membership.workspace.ok_or(TenancyError::Malformed)?;
    let custom = custom.iter().find(|grant| grant.workspace_id == workspace.id);
    Ok(Membership {
        workspace: workspace.id.parse().map_err(|_| TenancyError::Malformed)?,
        name: workspace.name,
        role: membership.role,
        custom: custom.map_or(PermissionSet::EMPTY, |grant| {
            PermissionSet::from_bytes(&grant.permissions)
        }),
        mfa_required: demanding.contains(&workspace.id),
    })
}

/// An answer that is about another workspace than was asked for is none.
fn placed(found: wire::FoundMembership, workspace: WorkspaceId) -> Result<Option<Membership>, TenancyError> {
    let Some(membership) = found.membership else {
        return Ok(None);
    };
    let home = membership.workspace.ok_or(TenancyError::Malformed)?;
    if home.id.parse() != Ok(workspace) {
        return Err(TenancyError::Malformed);
    }
    Ok(Some(Membership {
        workspace,
        name: home.name,
        role: membership.role,
        custom: PermissionSet::from_bytes(&found.custom_permissions),
        mfa_required: found.mfa_required,
    }))
}

pub(crate) fn classify(status: Status) -> TenancyError {
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
