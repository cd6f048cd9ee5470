use causeway_context::{Caller, RequestId};
use causeway_contracts::{CallerKind, Role, method};
use causeway_crypto::{LocalKeys, LocalRing};
use causeway_errors::Code;
use causeway_outbox::RelayHandle;
use chrono::{DateTime, TimeDelta};
use prost_types::FieldMask;

use super::*;
use crate::service::{Defaults, Modes};
use crate::store::MemoryStore;

pub(super) struct World {
    pub(super) grpc: Grpc,
    pub(super) caller: Caller,
}

fn request<T>(rpc: &str, caller: &Caller, message: T) -> Request<T> {
    request_to("TenancyService", rpc, caller, message)
}

pub(super) fn request_to<T>(service: &str, rpc: &str, caller: &Caller, message: T) -> Request<T> {
    let method = method(&format!("/causeway.tenancy.v1.{service}/{rpc}")).expect("an RPC");
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let mut request = Request::new(message);
    request.extensions_mut().insert(CallContext::new(
        caller.clone(),
        method,
        RequestId::generate(),
        now,
    ));
    request
}

/// The service, and a person in a workspace named `Acme`.
pub(super) async fn world() -> World {
    world_in(WorkspaceId::generate(), Modes::default()).await
}

/// The same in the workspace that owns the platform.
pub(super) async fn platform_world() -> World {
    let workspace = WorkspaceId::generate();
    let modes = Modes {
        platform_owner: Some(workspace),
        ..Modes::default()
    };
    world_in(workspace, modes).await
}

async fn world_in(workspace: WorkspaceId, modes: Modes) -> World {
    let ring = LocalRing::new(&LocalKeys::default(), true).expect("a ring");
    let defaults = Defaults {
        region: "us-east-1".to_owned(),
        rate_tier: None,
        demo: false,
        modes,
    };
    let store = Arc::new(MemoryStore::default());
    let grpc = Grpc::new(Tenancy::new(
        store,
        Arc::new(ring),
        RelayHandle::detached(),
        defaults,
    ));
    let user = UserId::generate();
    let message = wire::ProvisionWorkspaceRequest {
        workspace_id: workspace.to_string(),
        name: "Acme".to_owned(),
        owner_user_id: user.to_string(),
    };
    grpc.provision_workspace(request("ProvisionWorkspace", &Caller::service("auth"), message))
        .await
        .expect("made");
    let caller = Caller::person(
        CallerKind::User,
        user,
        workspace,
        &[Role::Owner],
        &[],
        "s".to_owned(),
    );
    World { grpc, caller }
}

pub(super) fn refused<T>(answer: Answer<T>) -> ApiError {
    answer.err().expect("refused").into()
}

pub(super) fn fields<T>(answer: Answer<T>) -> Vec<String> {
    let error = refused(answer);
    assert_eq!(error.code, Code::InvalidArgument);
    error
        .violations
        .into_iter()
        .map(|violation| violation.field)
        .collect()
}

impl World {
    async fn update(
        &self,
        workspace: Option<wire::Workspace>,
        paths: &[&str],
    ) -> Answer<wire::UpdateWorkspaceResponse> {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let message = wire::UpdateWorkspaceRequest {
            workspace,
            update_mask: Some(FieldMask { paths }),
        };
        self.grpc
            .update_workspace(request("UpdateWorkspace", &self.caller, message))
            .await
    }

    async fn put(&self, name: &str, kind: &str, value: &str) -> Answer<wire::PutSecretResponse> {
        let message = wire::PutSecretRequest {
            name: name.to_owned(),
            kind: kind.to_owned(),
            value: value.to_owned(),
        };
        self.grpc
            .put_secret(request("PutSecret", &self.caller, message))
            .await
    }

    async fn list_secrets(&self, page_size: i32, page_token: &str) -> Answer<wire::ListSecretsResponse> {
        let message = wire::ListSecretsRequest {
            page_size,
            page_token: page_token.to_owned(),
        };
        self.grpc
            .list_secrets(request("ListSecrets", &self.caller, message))
            .await
    }

    fn named(&self, name: &str) -> Option<wire::Workspace> {
        let id = self.caller.workspace.expect("has one").to_string();
        Some(wire::Workspace {
            id,
            name: name.to_owned(),
            ..wire::Workspace::default()
        })
    }
}

#[tokio::test]
async fn a_call_that_did_not_pass_the_layers_is_refused() {
    let world = world().await;
    let answer = world
        .grpc
        .get_tenant_status(Request::new(wire::GetTenantStatusRequest {}))
        .await;
    assert_eq!(refused(answer).code, Code::Internal);
}

#[tokio::test]
async fn only_the_name_of_a_workspace_changes() {
    let world = world().await;
    let renamed = world
        .update(world.named("Other"), &["name"])
        .await
        .expect("renamed")
        .into_inner();
    assert_eq!(renamed.workspace.expect("answered").name, "Other");
    for paths in [&[][..], &["region"], &["name", "region"], &["*"]] {
        assert_eq!(
            fields(world.update(world.named("Other"), paths).await),
            ["update_mask"],
            "{paths:?}"
        );
    }
    let message = wire::UpdateWorkspaceRequest {
        workspace: world.named("Other"),
        update_mask: None,
    };
    let answer = world
        .grpc
        .update_workspace(request("UpdateWorkspace", &world.caller, message))
        .await;
    assert_eq!(fields(answer), ["update_mask"]);
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let world = world().await;
    assert_eq!(
        fields(world.put("a b", "password", "").await),
        ["name", "kind", "value"]
    );
    assert_eq!(
        fields(world.put("a", "custom", &"x".repeat(65_537)).await),
        ["value"]
    );
    assert_eq!(
        fields(world.list_secrets(-1, "?").await),
        ["page_size", "page_token"]
    );
    assert_eq!(
        fields(world.update(None, &[]).await),
        ["update_mask", "workspace"]
    );
    let bad = Some(wire::Workspace {
        id: "x".to_owned(),
        ..wire::Workspace::default()
    });
    assert_eq!(
        fields(world.update(bad, &["name"]).await),
        ["workspace.id", "workspace.name"]
    );
    let message = wire::ProvisionWorkspaceRequest::default();
    let answer = world
        .grpc
        .provision_workspace(request("ProvisionWorkspace", &Caller::service("auth"), message))
        .await;
    assert_eq!(fields(answer), ["workspace_id", "name", "owner_user_id"]);
}

#[tokio::test]
async fn a_refusal_never_repeats_a_value() {
    let world = world().await;
    let error = refused(world.put("a", "not-a-kind", "sk-very-secret").await);
    assert!(!format!("{error:?}").contains("sk-very-secret"));
}

#[tokio::test]
async fn the_largest_value_fits() {
    let world = world().await;
    let value = "x".repeat(65_536);
    let secret = world
        .put("a", "custom", &value)
        .await
        .expect("stored")
        .into_inner()
        .secret
        .expect("answered");
    assert_eq!(
        (secret.version, secret.key_version, secret.kind.as_str()),
        (1, 1, "custom")
    );
    let message = wire::RevealSecretRequest { name: "a".to_owned() };
    let shown = world
        .grpc
        .reveal_secret(request("RevealSecret", &world.caller, message))
        .await
        .expect("shown");
    assert_eq!(shown.into_inner().value, value);
}

#[tokio::test]
async fn lists_end_where_they_say() {
    let world = world().await;
    for name in ["c", "a", "b"] {
        world.put(name, "custom", "v").await.expect("stored");
    }
    let first = world.list_secrets(2, "").await.expect("read").into_inner();
    let second = world
        .list_secrets(2, &first.next_page_token)
        .await
        .expect("read")
        .into_inner();
    let names = |page: &wire::ListSecretsResponse| {
        page.secrets
            .iter()
            .map(|secret| secret.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(&first), names(&second)),
        (vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()])
    );
    assert_eq!(second.next_page_token, "");
}

#[tokio::test]
async fn members_and_memberships_name_the_role() {
    let world = world().await;
    let message = wire::ListMembersRequest::default();
    let members = world
        .grpc
        .list_members(request("ListMembers", &world.caller, message))
        .await
        .expect("read");
    let members = members.into_inner().members;
    assert_eq!(
        (members[0].user_id.as_str(), members[0].role.as_str()),
        (world.caller.id.as_str(), "owner")
    );
    let message = wire::ListMembershipsRequest {
        user_id: world.caller.id.clone(),
        workspace_id: String::new(),
    };
    let service = Caller::service("auth");
    let found = world
        .grpc
        .list_memberships(request("ListMemberships", &service, message))
        .await
        .expect("read");
    let found = found.into_inner();
    assert_eq!(found.mfa_workspace_ids, Vec::<String>::new());
    let found = found.memberships;
    assert_eq!(found[0].role, "owner");
    assert_eq!(found[0].workspace.as_ref().expect("there").name, "Acme");
}

#[tokio::test]
async fn many_memberships_are_found_in_the_order_in_which_they_are_asked_for() {
    let world = world().await;
    let service = Caller::service("auth");
    let place = |workspace: String| wire::MembershipPlace {
        workspace_id: workspace,
        user_id: world.caller.id.clone(),
    };
    let home = world.caller.workspace.expect("has one").to_string();
    let find = async |places: Vec<wire::MembershipPlace>| {
        let message = wire::FindMembershipsRequest { places };
        let message = request("FindMemberships", &service, message);
        world.grpc.find_memberships(message).await
    };
    let elsewhere = WorkspaceId::generate().to_string();
    let found = find(vec![place(elsewhere.clone()), place(home.clone())]).await;
    let found = found.expect("read").into_inner().found;
    assert_eq!(found[0], wire::FoundMembership::default());
    let membership = found[1].membership.clone().expect("a member");
    assert_eq!(membership.role, "owner");
    assert_eq!(membership.workspace.expect("there").id, home);
    let wrong = find(vec![place(home), place("none".to_owned())]).await;
    let fields = refused(wrong).violations;
    assert_eq!(fields[0].field, "places[1].workspace_id");
    let many = find(vec![place(elsewhere); 65]).await;
    assert_eq!(refused(many).violations[0].field, "places");
}

#[tokio::test]
async fn every_failure_has_a_stable_reason() {
    let world = world().await;
    let message = wire::GetWorkspaceRequest {
        id: WorkspaceId::generate().to_string(),
    };
    let answer = world
        .grpc
        .get_workspace(request("GetWorkspace", &world.caller, message))
        .await;
    assert_eq!(refused(answer).reason, "WORKSPACE_NOT_FOUND");
    let message = wire::DeleteSecretRequest {
        name: "none".to_owned(),
    };
    let answer = world
        .grpc
        .delete_secret(request("DeleteSecret", &world.caller, message))
        .await;
    assert_eq!(refused(answer).reason, "SECRET_NOT_FOUND");
    let client = Caller {
        kind: CallerKind::Client,
        ..world.caller.clone()
    };
    let message = wire::CreateWorkspaceRequest {
        name: "Second".to_owned(),
    };
    let answer = world
        .grpc
        .create_workspace(request("CreateWorkspace", &client, message))
        .await;
    assert_eq!(refused(answer).reason, "PERSON_REQUIRED");
}
