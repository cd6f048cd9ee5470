//! The started service, called as other services call it.

use std::sync::Arc;

use causeway_context::{CallContext, Caller, RequestId, UserId, WorkspaceId};
use causeway_contracts::tenancy::v1::tenancy_service_client::TenancyServiceClient;
use causeway_contracts::tenancy::v1::{
    GetTenantStatusRequest, GetWorkspaceRequest, ProvisionWorkspaceRequest, PutSecretRequest,
};
use causeway_contracts::{CallerKind, Role, method};
use causeway_crypto::{LocalKeys, ServiceTokenKeys};
use causeway_errors::{ApiError, Code};
use causeway_mesh::{Guard, GuardOptions, Mesh, MeshChannel, ServiceIdentity, near, on_behalf};
use causeway_tenancy::{Config, Defaults, KmsKeys, Lifecycle, Modes, NAME, Parts, start};
use chrono::{DateTime, TimeDelta};
use secrecy::SecretString;

/// The service in memory, linked into a mesh in which it is called by `auth`.
async fn tenancy() -> TenancyServiceClient<MeshChannel> {
    let root = SecretString::from("a root that is long enough for a test, and then some");
    let identity = ServiceIdentity::new("auth", Arc::new(ServiceTokenKeys::new(&root, None)));
    let mesh = Mesh::new(identity.clone());
    let defaults = Defaults {
        region: "us-east-1".to_owned(),
        rate_tier: None,
        demo: false,
        modes: Modes::default(),
    };
    let config = Config {
        defaults,
        keys: LocalKeys::default(),
        development_key: true,
        kms: KmsKeys::default(),
        kms_must_work: false,
        lifecycle: Lifecycle::default(),
        access_life: TimeDelta::minutes(15),
        rotation_duty: 25,
    };
    let parts = Parts {
        mesh: mesh.named(NAME),
        database: None,
    };
    let service = start(config, parts).await.expect("started");
    assert!((service.ready)().await);
    let options = GuardOptions {
        identity,
        secrets: Vec::new(),
        open_reflection: false,
        max_in_flight: 8,
    };
    mesh.link(NAME, near(Guard::new(service.routes, options)));
    TenancyServiceClient::new(mesh.to(NAME))
}

fn person(role: Role, user: UserId, workspace: WorkspaceId) -> CallContext {
    let caller = Caller::person(CallerKind::User, user, workspace, &[role], &[], "s".to_owned());
    let login = method("/causeway.auth.v1.AuthService/Login").expect("an RPC");
    CallContext::new(caller, login, RequestId::generate(), DateTime::UNIX_EPOCH)
}

async fn provisioned(client: &mut TenancyServiceClient<MeshChannel>) -> (UserId, WorkspaceId) {
    let (user, workspace) = (UserId::generate(), WorkspaceId::generate());
    let message = ProvisionWorkspaceRequest {
        workspace_id: workspace.to_string(),
        name: "Acme".to_owned(),
        owner_user_id: user.to_string(),
    };
    client.provision_workspace(message).await.expect("provisioned");
    (user, workspace)
}

fn refused<T>(answer: Result<T, tonic::Status>) -> (Code, String) {
    let error = ApiError::from(answer.err().expect("refused"));
    (error.code, error.reason.into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_reads_its_workspace_and_a_stranger_finds_nothing() {
    let mut client = tenancy().await;
    let (owner, workspace) = provisioned(&mut client).await;
    let (stranger, elsewhere) = provisioned(&mut client).await;
    let message = GetWorkspaceRequest {
        id: workspace.to_string(),
    };

    let ctx = person(Role::Owner, owner, workspace);
    let found = client
        .get_workspace(on_behalf(&ctx, message.clone()))
        .await
        .expect("found")
        .into_inner();
    assert_eq!(found.workspace.expect("answered").name, "Acme");

    let ctx = person(Role::Owner, stranger, elsewhere);
    let answer = client.get_workspace(on_behalf(&ctx, message)).await;
    assert_eq!(
        refused(answer),
        (Code::NotFound, "WORKSPACE_NOT_FOUND".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_cannot_provision_and_a_viewer_cannot_write() {
    let mut client = tenancy().await;
    let (user, workspace) = provisioned(&mut client).await;
    let ctx = person(Role::Owner, user, workspace);
    let answer = client
        .provision_workspace(on_behalf(&ctx, ProvisionWorkspaceRequest::default()))
        .await;
    assert_eq!(refused(answer).0, Code::PermissionDenied);

    let ctx = person(Role::Viewer, user, workspace);
    let answer = client
        .put_secret(on_behalf(&ctx, PutSecretRequest::default()))
        .await;
    assert_eq!(
        refused(answer),
        (Code::PermissionDenied, "PERMISSION_DENIED".to_owned())
    );
    let status = client
        .get_tenant_status(on_behalf(&ctx, GetTenantStatusRequest {}))
        .await;
    assert_eq!(
        status.expect("any member may ask").into_inner().rate_tier,
        "standard"
    );
}
