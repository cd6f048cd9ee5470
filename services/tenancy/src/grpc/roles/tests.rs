use causeway_errors::Code;
use prost_types::FieldMask;

use super::*;
use crate::grpc::tests::{World, fields, refused, request_to, world};

fn call<T>(world: &World, rpc: &str, message: T) -> Request<T> {
    request_to("RoleService", rpc, &world.caller, message)
}

impl World {
    async fn create(&self, name: &str, permissions: &[&str]) -> Answer<wire::CreateRoleResponse> {
        let message = wire::CreateRoleRequest {
            name: name.to_owned(),
            permissions: permissions.iter().map(|name| (*name).to_owned()).collect(),
        };
        self.grpc.create_role(call(self, "CreateRole", message)).await
    }

    async fn rewrite(&self, role: wire::Role, paths: &[&str]) -> Answer<wire::UpdateRoleResponse> {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let message = wire::UpdateRoleRequest {
            role: Some(role),
            update_mask: Some(FieldMask { paths }),
        };
        self.grpc.update_role(call(self, "UpdateRole", message)).await
    }

    async fn listed(&self) -> Vec<wire::Role> {
        let request = call(self, "ListRoles", wire::ListRolesRequest {});
        let answer = self.grpc.list_roles(request).await.expect("answered");
        answer.into_inner().roles
    }
}

#[tokio::test]
async fn built_in_and_own_roles_are_one_list() {
    let world = world().await;
    let made = world.create(" Support ", &["secrets.read"]).await.expect("made");
    let made = made.into_inner().role.expect("answered");
    assert_eq!(
        (made.name.as_str(), made.version, made.built_in),
        ("Support", 1, false)
    );
    let roles = world.listed().await;
    let names: Vec<&str> = roles.iter().map(|role| role.name.as_str()).collect();
    assert_eq!(names, ["viewer", "editor", "admin", "owner", "Support"]);
    for role in &roles {
        let message = wire::GetRoleRequest { id: role.id.clone() };
        let one = world.grpc.get_role(call(&world, "GetRole", message)).await;
        assert_eq!(one.expect("answered").into_inner().role.as_ref(), Some(role));
    }
    assert_eq!(roles[3].permissions, PermissionSet::all().names());
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let world = world().await;
    let answer = world.create("Owner", &["secrets.read", "made.up"]).await;
    assert_eq!(fields(answer), ["name", "permissions[1]"]);
    let role = wire::Role {
        version: -1,
        permissions: vec!["x".to_owned()],
        ..wire::Role::default()
    };
    assert_eq!(
        fields(world.rewrite(role.clone(), &["name", "permissions"]).await),
        ["role.name", "role.permissions[0]", "role.version"]
    );
    for mask in [&["built_in"][..], &["version"], &[]] {
        assert_eq!(
            fields(world.rewrite(wire::Role::default(), mask).await),
            ["update_mask"]
        );
    }
}

#[tokio::test]
async fn a_built_in_role_stays_and_an_unknown_one_is_not_found() {
    let world = world().await;
    for (id, code) in [
        ("editor", Code::PermissionDenied),
        ("Editor", Code::NotFound),
        ("01890a5d-ac96-774b-bcce-b302099a8057", Code::NotFound),
        ("", Code::NotFound),
    ] {
        let role = wire::Role {
            id: id.to_owned(),
            ..wire::Role::default()
        };
        assert_eq!(
            refused(world.rewrite(role, &["permissions"]).await).code,
            code,
            "{id}"
        );
        let message = wire::DeleteRoleRequest { id: id.to_owned() };
        let gone = world.grpc.delete_role(call(&world, "DeleteRole", message)).await;
        assert_eq!(refused(gone).code, code, "{id}");
    }
}

#[tokio::test]
async fn a_change_says_of_which_version_it_is() {
    let world = world().await;
    let made = world
        .create("Support", &[])
        .await
        .expect("made")
        .into_inner()
        .role;
    let wanted = wire::Role {
        permissions: vec!["secrets.read".to_owned()],
        ..made.expect("answered")
    };
    let mask = ["permissions", "version"];
    let changed = world.rewrite(wanted.clone(), &mask).await.expect("changed");
    assert_eq!(changed.into_inner().role.map(|role| role.version), Some(2));
    let stale = refused(world.rewrite(wanted, &mask).await);
    assert_eq!(
        (stale.code, stale.reason.as_ref()),
        (Code::Aborted, "ROLE_CHANGED")
    );
}
