use std::time::Duration;

use causeway_context::{Caller, UserId};
use causeway_contracts::{CallerKind, Role};
use causeway_errors::Code;
use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::domain::{KeyState, Requester, RotationStep};
use crate::grpc::tests::{World, fields, refused, request_to, world};

impl World {
    fn ask<T>(&self, rpc: &str, message: T) -> Request<T> {
        request_to("KeyService", rpc, &self.caller, message)
    }

    /// A person in another workspace.
    fn stranger(&self) -> Self {
        let (user, workspace) = (UserId::generate(), WorkspaceId::generate());
        let caller = Caller::person(
            CallerKind::User,
            user,
            workspace,
            &[Role::Owner],
            &[],
            "s".to_owned(),
        );
        Self {
            grpc: self.grpc.clone(),
            caller,
        }
    }

    async fn rotate(&self, ring: &str) -> Answer<wire::RotateKeyResponse> {
        let message = wire::RotateKeyRequest {
            ring: ring.to_owned(),
            keep_previous: false,
        };
        self.grpc.rotate_key(self.ask("RotateKey", message)).await
    }

    async fn rotated(&self, ring: &str) -> wire::Rotation {
        let answer = self.rotate(ring).await.expect("started").into_inner();
        answer.rotation.expect("a rotation")
    }

    async fn keys(&self, page_size: i32, page_token: &str) -> Answer<wire::ListKeysResponse> {
        let message = wire::ListKeysRequest {
            page_size,
            page_token: page_token.to_owned(),
        };
        self.grpc.list_keys(self.ask("ListKeys", message)).await
    }

    async fn rotations(&self, page_size: i32, page_token: &str) -> Answer<wire::ListRotationsResponse> {
        let message = wire::ListRotationsRequest {
            page_size,
            page_token: page_token.to_owned(),
        };
        self.grpc.list_rotations(self.ask("ListRotations", message)).await
    }

    async fn rotation(&self, id: &str) -> Answer<wire::GetRotationResponse> {
        let message = wire::GetRotationRequest { id: id.to_owned() };
        self.grpc.get_rotation(self.ask("GetRotation", message)).await
    }

    async fn seal_all_fields(
        &self,
        workspace: &str,
        sent: Vec<wire::FieldToSeal>,
    ) -> Answer<wire::SealFieldsResponse> {
        let message = wire::SealFieldsRequest {
            workspace_id: workspace.to_owned(),
            fields: sent,
        };
        let auth = Caller::service("auth");
        self.grpc
            .seal_fields(request_to("KeyService", "SealFields", &auth, message))
            .await
    }

    async fn open_all_fields(
        &self,
        workspace: &str,
        sent: Vec<wire::FieldToOpen>,
    ) -> Answer<wire::OpenFieldsResponse> {
        let message = wire::OpenFieldsRequest {
            workspace_id: workspace.to_owned(),
            fields: sent,
        };
        let auth = Caller::service("auth");
        self.grpc
            .open_fields(request_to("KeyService", "OpenFields", &auth, message))
            .await
    }

    fn workspace(&self) -> String {
        self.caller.workspace.expect("has one").to_string()
    }
}

fn place(row: &str) -> wire::FieldPlace {
    wire::FieldPlace {
        table: "auth.mfa_factors".to_owned(),
        column: "seed".to_owned(),
        row: row.to_owned(),
        version: 1,
        purpose: "second factor".to_owned(),
    }
}

fn to_seal(place: Option<wire::FieldPlace>) -> wire::FieldToSeal {
    wire::FieldToSeal {
        place,
        plaintext: b"seed".to_vec(),
    }
}

fn to_open(place: wire::FieldPlace, sealed: &[u8]) -> wire::FieldToOpen {
    wire::FieldToOpen {
        place: Some(place),
        sealed: sealed.to_vec(),
    }
}

#[tokio::test]
async fn versions_are_listed_by_ring_with_the_key_that_wraps_them() {
    let world = world().await;
    assert_eq!(
        world.keys(0, "").await.expect("listed").into_inner(),
        Default::default()
    );
    world.rotated("transit").await;
    world.rotated("data").await;
    let first = world.keys(1, "").await.expect("listed").into_inner();
    let rest = world.keys(1, &first.next_page_token).await;
    let rest = rest.expect("listed").into_inner();
    assert_eq!(rest.next_page_token, "");
    let keys = [first.keys, rest.keys].concat();
    let told: Vec<(&str, i32, &str)> = keys
        .iter()
        .map(|key| (key.ring.as_str(), key.version, key.state.as_str()))
        .collect();
    assert_eq!(told, [("data", 1, "active"), ("transit", 1, "active")]);
    for key in &keys {
        assert!(key.wrapped_by.starts_with("development-"), "{key:?}");
        assert!(key.created_at.is_some() && key.destroyed_at.is_none());
    }
    let foreign = world.stranger().keys(0, "").await.expect("listed");
    assert_eq!(foreign.into_inner(), Default::default());
}

#[tokio::test]
async fn pages_that_cannot_be_are_refused() {
    let world = world().await;
    for (size, token, wrong) in [(-1, "", "page_size"), (0, "?", "page_token")] {
        assert_eq!(fields(world.keys(size, token).await), [wrong]);
        assert_eq!(fields(world.rotations(size, token).await), [wrong]);
    }
    assert_eq!(fields(world.keys(-1, "?").await), ["page_size", "page_token"]);
}

#[tokio::test]
async fn a_rotation_is_of_the_stored_data_unless_the_call_says_otherwise() {
    let world = world().await;
    let transit = world.rotated("transit").await;
    assert_eq!(
        (transit.ring.as_str(), transit.state.as_str()),
        ("transit", "succeeded")
    );
    assert!(transit.finished_at.is_some());
    let data = world.rotated("").await;
    assert_eq!(
        (
            data.ring.as_str(),
            data.state.as_str(),
            data.from_version,
            data.to_version
        ),
        ("data", "reencrypting", 0, 1)
    );
    assert!(data.finished_at.is_none() && data.proof.is_empty());
    let again = refused(world.rotate("data").await);
    assert_eq!(
        (again.code, again.reason.as_ref()),
        (Code::Aborted, "ROTATION_RUNNING")
    );
    for word in ["Data", "main", " "] {
        assert_eq!(fields(world.rotate(word).await), ["ring"], "{word}");
    }
}

#[tokio::test]
async fn rotations_are_found_by_their_id_and_listed_newest_first() {
    let world = world().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.insert(0, world.rotated("transit").await.id);
    }
    let first = world.rotations(1, "").await.expect("listed").into_inner();
    let rest = world.rotations(1, &first.next_page_token).await;
    let rest = rest.expect("listed").into_inner();
    assert_eq!(rest.next_page_token, "");
    let listed: Vec<String> = [first.rotations, rest.rotations]
        .concat()
        .into_iter()
        .map(|rotation| rotation.id)
        .collect();
    assert_eq!(listed, ids);
    let found = world.rotation(&ids[1]).await.expect("found").into_inner();
    assert_eq!(found.rotation.expect("a rotation").to_version, 1);

    assert_eq!(fields(world.rotation("no id").await), ["id"]);
    let unknown = |answer| {
        let error = refused(answer);
        assert_eq!(
            (error.code, error.reason.as_ref()),
            (Code::NotFound, "ROTATION_NOT_FOUND")
        );
    };
    unknown(world.rotation(&Uuid::now_v7().to_string()).await);
    let stranger = world.stranger();
    unknown(stranger.rotation(&ids[0]).await);
    let foreign = stranger.rotations(0, "").await.expect("listed");
    assert_eq!(foreign.into_inner(), Default::default());
}

fn rotation() -> Rotation {
    let at = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000);
    Rotation {
        workspace: WorkspaceId::generate(),
        id: Uuid::now_v7(),
        ring: Ring::Data,
        from_version: 3,
        to_version: 4,
        keep_previous: false,
        step: RotationStep::Reencrypting,
        holder: 1,
        cursor: "c".to_owned(),
        total: 400,
        done: 100,
        remaining: 300,
        unreadable: 0,
        proof: Vec::new(),
        destroyed: Vec::new(),
        requester: Requester {
            kind: "user".to_owned(),
            id: "u".to_owned(),
            request: "r".to_owned(),
        },
        started_at: at,
        updated_at: at + Duration::from_secs(10),
        finished_at: None,
    }
}

/// ROT-07: progress, the rest, and the time that it will take.
#[test]
fn a_running_rotation_says_how_far_it_is_and_how_long_it_will_take() {
    let running = wire::Rotation::from(rotation());
    assert_eq!(
        (running.total, running.done, running.remaining, running.unreadable),
        (400, 100, 300, 0)
    );
    assert_eq!(running.eta_seconds, Some(30));
    for (step, shown) in [
        (RotationStep::Beginning, "reencrypting"),
        (RotationStep::Fencing, "fencing"),
        (RotationStep::Verifying, "verifying"),
        (RotationStep::Retiring, "verifying"),
        (RotationStep::Incomplete, "incomplete"),
    ] {
        let rotation = Rotation { step, ..rotation() };
        assert_eq!(wire::Rotation::from(rotation).state, shown);
    }
}

/// ROT-05: the proof is told, not only kept.
#[test]
fn a_rotation_at_its_end_shows_its_proof_and_what_it_destroyed() {
    let mut ended = rotation();
    let at = ended.updated_at;
    ended.proof = vec![Counted {
        table: "tenancy.secrets".to_owned(),
        rows: 400,
        below: 0,
        at,
    }];
    ended.destroyed = vec![2, 3];
    ended.finish(RotationStep::Succeeded, at);
    let told = wire::Rotation::from(ended);
    assert_eq!((told.state.as_str(), told.eta_seconds), ("succeeded", None));
    assert_eq!(told.destroyed_versions, [2, 3]);
    let [line] = told.proof.as_slice() else {
        panic!("one table: {told:?}")
    };
    assert_eq!(
        (line.table.as_str(), line.rows, line.below),
        ("tenancy.secrets", 400, 0)
    );
    assert_eq!(line.counted_at, Some(to_timestamp(at)));
}

#[test]
fn a_destroyed_version_says_when_and_names_no_wrapper() {
    let at = rotation().started_at;
    let told = wire::DataKey::from(StoredKey {
        workspace: WorkspaceId::generate(),
        ring: Ring::Transit,
        version: 7,
        state: KeyState::Destroyed,
        wrapped: None,
        created_at: at,
        destroyed_at: Some(at),
    });
    let expected = wire::DataKey {
        ring: "transit".to_owned(),
        version: 7,
        state: "destroyed".to_owned(),
        wrapped_by: String::new(),
        created_at: Some(to_timestamp(at)),
        destroyed_at: Some(to_timestamp(at)),
    };
    assert_eq!(told, expected);
}

#[tokio::test]
async fn fields_are_sealed_and_opened_in_their_order_and_what_does_not_open_is_absent() {
    let world = world().await;
    let workspace = world.workspace();
    let sent = ["r0", "r1", "r2"].map(|row| to_seal(Some(place(row))));
    let sealed = world.seal_all_fields(&workspace, sent.to_vec()).await;
    let sealed = sealed.expect("sealed").into_inner().fields;
    assert!(sealed.iter().all(|field| field.key_version == 1));
    let moved = to_open(place("r1"), &sealed[0].sealed);
    let sent = vec![
        to_open(place("r0"), &sealed[0].sealed),
        moved,
        to_open(place("r2"), b"no envelope"),
        to_open(place("r2"), &sealed[2].sealed),
    ];
    let opened = world
        .open_all_fields(&workspace, sent)
        .await
        .expect("answered")
        .into_inner();
    let opened: Vec<Option<&[u8]>> = opened
        .fields
        .iter()
        .map(|field| field.plaintext.as_deref())
        .collect();
    assert_eq!(opened, [Some(&b"seed"[..]), None, None, Some(&b"seed"[..])]);
}

#[tokio::test]
async fn fields_without_a_place_or_of_another_service_are_refused_by_their_path() {
    let world = world().await;
    let workspace = world.workspace();
    let lacking = |change: fn(&mut wire::FieldPlace)| {
        let mut place = place("r");
        change(&mut place);
        to_seal(Some(place))
    };
    let sent = vec![
        to_seal(Some(place("r"))),
        to_seal(None),
        lacking(|place| place.table.clear()),
        lacking(|place| place.column.clear()),
        lacking(|place| place.row.clear()),
        lacking(|place| place.purpose.clear()),
        lacking(|place| place.version = -1),
    ];
    let wrong = [1, 2, 3, 4, 5, 6].map(|index| format!("fields[{index}].place"));
    assert_eq!(fields(world.seal_all_fields(&workspace, sent).await), wrong);
    assert_eq!(
        fields(world.seal_all_fields("no id", Vec::new()).await),
        ["workspace_id", "fields"]
    );
    let many = vec![to_open(place("r"), b"x"); MOST_FIELDS + 1];
    assert_eq!(fields(world.open_all_fields(&workspace, many).await), ["fields"]);

    let foreign = lacking(|place| place.table = "tenancy.secrets".to_owned());
    let error = refused(
        world
            .seal_all_fields(&workspace, vec![to_seal(Some(place("r"))), foreign])
            .await,
    );
    assert_eq!(
        (error.code, error.reason.as_ref()),
        (Code::PermissionDenied, "FOREIGN_TABLE")
    );
    assert!(error.message.starts_with("fields[1]."), "{}", error.message);
}
