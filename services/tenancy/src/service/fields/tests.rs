use causeway_context::Caller;
use causeway_errors::Code;

use super::*;
use crate::service::tests::{World, context, reason, world};
use crate::store::KeyStore as _;

fn place(table: &str) -> Place {
    Place {
        table: table.to_owned(),
        column: "seed".to_owned(),
        row: "r1".to_owned(),
        version: 3,
        purpose: "second factor".to_owned(),
    }
}

fn field(place: Place, content: &[u8]) -> Field {
    Field {
        place,
        content: Zeroizing::new(content.to_vec()),
    }
}

impl World {
    async fn seal_for(&self, workspace: WorkspaceId, place: Place) -> SealedField {
        let ctx = context("SealFields", Caller::service("auth"));
        let sealed = self
            .tenancy
            .seal_fields(&ctx, workspace, &[field(place, b"seed")])
            .await;
        sealed.expect("sealed").remove(0)
    }

    async fn open_for(&self, workspace: WorkspaceId, place: Place, sealed: &[u8]) -> Option<Vec<u8>> {
        let ctx = context("OpenFields", Caller::service("auth"));
        let opened = self
            .tenancy
            .open_fields(&ctx, workspace, &[field(place, sealed)])
            .await;
        let one = opened.expect("answered").remove(0);
        one.map(|value| value.to_vec())
    }
}

#[tokio::test]
async fn a_field_opens_at_its_place_and_nowhere_else() {
    let world = world();
    let (ours, theirs) = (world.owner().await, world.owner().await);
    let [ours, theirs] = [ours, theirs].map(|caller| caller.workspace.expect("has one"));
    let sealed = world.seal_for(ours, place("auth.mfa_factors")).await;
    assert_eq!(sealed.key_version, 1);
    world.seal_for(theirs, place("auth.mfa_factors")).await;
    let opened = world
        .open_for(ours, place("auth.mfa_factors"), &sealed.sealed)
        .await;
    assert_eq!(opened.as_deref(), Some(&b"seed"[..]));
    let right = place("auth.mfa_factors");
    for (workspace, wrong) in [
        (theirs, right.clone()),
        (ours, place("auth.other")),
        (
            ours,
            Place {
                row: "r2".to_owned(),
                ..right.clone()
            },
        ),
        (
            ours,
            Place {
                version: 2,
                ..right.clone()
            },
        ),
    ] {
        assert_eq!(
            world.open_for(workspace, wrong.clone(), &sealed.sealed).await,
            None,
            "{wrong:?}"
        );
    }
    assert_eq!(
        world.open_for(ours, right.clone(), b"not an envelope").await,
        None
    );
    let now = context("SealFields", Caller::service("auth")).now;
    world.store.destroy_keys(ours, now).await.expect("destroyed");
    assert_eq!(world.open_for(ours, right, &sealed.sealed).await, None);
}

#[tokio::test]
async fn a_service_reaches_only_tables_of_its_own() {
    let world = world();
    let workspace = world.owner().await.workspace.expect("has one");
    for table in ["tenancy.secrets", "authx.t", "auth", "", "scoring.t"] {
        let ctx = context("SealFields", Caller::service("auth"));
        let sealed = world
            .tenancy
            .seal_fields(&ctx, workspace, &[field(place(table), b"x")])
            .await;
        assert_eq!(
            reason(sealed),
            (Code::PermissionDenied, "FOREIGN_TABLE".to_owned()),
            "{table}"
        );
        let ctx = context("OpenFields", Caller::service("auth"));
        let opened = world
            .tenancy
            .open_fields(&ctx, workspace, &[field(place(table), b"x")])
            .await;
        assert_eq!(reason(opened).1, "FOREIGN_TABLE", "{table}");
    }
}
