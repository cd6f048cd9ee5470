use std::sync::Mutex;

use causeway_context::{SessionId, UserId, WorkspaceId, to_timestamp};
use causeway_contracts::common::v1 as wire;

use super::*;

const LIFE: TimeDelta = TimeDelta::minutes(15);

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_000 + millis).unwrap()
}

struct Ids {
    session: SessionId,
    user: UserId,
    workspace: WorkspaceId,
}

fn ids() -> Ids {
    Ids {
        session: SessionId::generate(),
        user: UserId::generate(),
        workspace: WorkspaceId::generate(),
    }
}

/// A token that was issued then.
fn token(ids: &Ids, issued: DateTime<Utc>) -> AccessClaims {
    let seconds = u64::try_from(issued.timestamp()).unwrap();
    let made = uuid::Timestamp::from_unix(uuid::NoContext, seconds, issued.timestamp_subsec_nanos());
    let text = serde_json::json!({
        "sub": ids.user, "exp": issued.timestamp() + 900, "nbf": issued.timestamp(), "iat": issued.timestamp(),
        "jti": Uuid::new_v7(made), "sid": ids.session, "workspace_id": ids.workspace, "roles": [], "scope": "",
        "mfa": false, "mfa_required": false, "mfa_enrolled": false,
    });
    serde_json::from_value(text).unwrap()
}

fn revoked(revocations: &[Revocation]) -> Revoked {
    let revoked = Revoked::default();
    revoked.add(revocations.to_vec());
    revoked
}

#[test]
fn a_session_that_ended_is_refused_and_no_other() {
    let (mine, other) = (ids(), ids());
    let revoked = revoked(&[Revocation::of(Ended::Session(mine.session), at(0), LIFE)]);
    assert!(revoked.includes(&token(&mine, at(-1000)), false));
    assert!(
        revoked.includes(&token(&mine, at(1000)), false),
        "it never comes back"
    );
    assert!(!revoked.includes(&token(&other, at(-1000)), false));
}

#[test]
fn an_old_role_is_refused_to_the_millisecond_in_its_workspace() {
    let (mine, mut elsewhere) = (ids(), ids());
    elsewhere.user = mine.user;
    let member = Ended::Member(mine.workspace, mine.user);
    let revoked = revoked(&[Revocation::before(member, at(500), LIFE)]);
    assert!(revoked.includes(&token(&mine, at(499)), false));
    assert!(
        !revoked.includes(&token(&mine, at(500)), false),
        "issued in the same second, after it"
    );
    assert!(!revoked.includes(&token(&elsewhere, at(0)), false));
    let mut without = token(&mine, at(900));
    without.jti = "not a time".to_owned();
    assert!(
        revoked.includes(&without, false),
        "the second in which it was issued began before"
    );
    let mut forged = token(&mine, at(900));
    forged.jti = token(&mine, at(5000)).jti;
    assert!(
        revoked.includes(&forged, false),
        "an id of another second tells nothing"
    );
}

#[test]
fn every_kind_of_end_is_seen() {
    let mine = ids();
    let client = Uuid::now_v7();
    let mut machine = token(&mine, at(0));
    machine.client_id = Some(format!("cw_client_{}", client.simple()));
    let role = Uuid::now_v7();
    let mut with_role = token(&mine, at(0));
    with_role.roles = vec![role.to_string()];
    for (ended, token) in [
        (Ended::User(mine.user), token(&mine, at(0))),
        (Ended::Role(role), with_role),
        (Ended::Workspace(mine.workspace), token(&mine, at(0))),
        (Ended::Client(client), machine),
    ] {
        assert!(
            revoked(&[Revocation::of(ended, at(1), LIFE)]).includes(&token, false),
            "{ended:?}"
        );
        let of_an_erasure = revoked(&[Revocation::of(ended, at(1), LIFE)]).includes(&token, true);
        assert_eq!(of_an_erasure, ended != Ended::Workspace(mine.workspace));
        assert!(!revoked(&[]).includes(&token, false));
    }
}

#[test]
fn a_token_ends_with_the_machine_s_credential_on_which_it_hangs() {
    let mine = ids();
    let (client, opaque) = (Uuid::now_v7(), TokenId::generate());
    let hanging = |credential: String, issued| {
        let mut token = token(&mine, issued);
        (token.sid, token.client_id) = (String::new(), Some(credential));
        token
    };
    let of_client = |issued| hanging(format!("cw_client_{}", client.simple()), issued);
    let of_token = |issued| hanging(format!("cw_token_{}", opaque.0.simple()), issued);
    let switched_off = revoked(&[Revocation::before(Ended::Client(client), at(500), LIFE)]);
    assert!(switched_off.includes(&of_client(at(499)), false));
    assert!(
        !switched_off.includes(&of_client(at(500)), false),
        "switched on again"
    );
    assert!(!switched_off.includes(&of_token(at(0)), false));
    let ended = revoked(&[Revocation::of(Ended::Token(opaque), at(500), LIFE)]);
    assert!(ended.includes(&of_token(at(900)), false) && !ended.includes(&of_client(at(0)), false));
    let mut impostor = token(&mine, at(0));
    impostor.sub = format!("cw_client_{}", client.simple());
    assert!(
        !switched_off.includes(&impostor, false),
        "only its credential is a client"
    );
}

#[test]
fn what_is_known_of_a_machine_goes_when_something_of_it_ends() {
    let (client, opaque, mine) = (Uuid::now_v7(), TokenId::generate(), ids());
    let (named, token) = (
        format!("cw_client_{}", client.simple()),
        format!("cw_token_{}", opaque.0.simple()),
    );
    let person = Caller::person(
        causeway_contracts::CallerKind::Token,
        mine.user,
        mine.workspace,
        &[],
        &[],
        opaque.to_string(),
    );
    assert!(concerns_machine(&named, None, &Ended::Client(client)));
    assert!(concerns_machine(&token, None, &Ended::Token(opaque)));
    for ended in [Ended::User(mine.user), Ended::Workspace(mine.workspace)] {
        assert!(concerns_machine(&token, Some(&person), &ended));
        assert!(!concerns_machine(&token, None, &ended));
    }
    for other in [Ended::Client(Uuid::now_v7()), Ended::Token(TokenId::generate())] {
        assert!(!concerns_machine(&named, None, &other) && !concerns_machine(&token, Some(&person), &other));
    }
}

#[test]
fn two_revocations_of_one_thing_are_the_stronger_one() {
    let mine = ids();
    let user = Ended::User(mine.user);
    let (early, late) = (
        Revocation::before(user, at(0), LIFE),
        Revocation::before(user, at(5000), LIFE),
    );
    for order in [[early, late], [late, early]] {
        assert!(revoked(&order).includes(&token(&mine, at(4000)), false));
    }
    let whole = Revocation::of(user, at(0), LIFE);
    assert!(revoked(&[whole, late]).includes(&token(&mine, at(9000)), false));
    let known = revoked(&[late]);
    assert_eq!(known.add(vec![late, early]), [], "nothing new");
}

#[test]
fn what_no_token_can_be_older_than_is_dropped() {
    let mine = ids();
    let one = Revocation::of(Ended::Session(mine.session), at(0), LIFE);
    let revoked = revoked(&[one]);
    revoked.forget(one.expires_at);
    assert!(revoked.includes(&token(&mine, at(-1000)), false), "clocks differ");
    revoked.forget(one.expires_at + SLACK);
    assert!(revoked.0.read().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn parts_are_read_to_their_end_and_the_first_says_where_to_resume() {
    let sessions: Vec<SessionId> = (0..3).map(|_| SessionId::generate()).collect();
    let asked = Mutex::new(Vec::new());
    let ask = |request: Request<ListRevocationsRequest>| {
        let after = request.into_inner().after;
        let number = asked.lock().unwrap().len();
        asked.lock().unwrap().push(after);
        let revocation = wire::Revocation {
            kind: wire::RevocationKind::Session.into(),
            subject_id: sessions[number.min(2)].to_string(),
            workspace_id: String::new(),
            valid_after: None,
            expires_at: Some(to_timestamp(at(0) + LIFE)),
        };
        let answer = ListRevocationsResponse {
            revocations: vec![revocation],
            next: if number < 2 {
                format!("part {number}")
            } else {
                String::new()
            },
            resume: format!("resume {number}"),
        };
        std::future::ready(Ok(Response::new(answer)))
    };
    let (revoked, credentials) = (Revoked::default(), Cache::new());
    let machines = Standings::default();
    let mut source = Source {
        service: "auth",
        revoked: &revoked,
        credentials: &credentials,
        machines: &machines,
        place: String::new(),
        asked: None,
        is_stale: false,
    };
    source.ask_all(&ask).await.unwrap();
    assert_eq!(*asked.lock().unwrap(), ["", "part 0", "part 1"]);
    assert_eq!(source.place, "resume 0");
    assert_eq!(revoked.0.read().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_away_makes_stale_and_forgets_nothing() {
    let mine = ids();
    let (revoked, credentials) = (
        revoked(&[Revocation::of(Ended::Session(mine.session), at(0), LIFE)]),
        Cache::new(),
    );
    let machines = Standings::default();
    let mut source = Source {
        service: "auth",
        revoked: &revoked,
        credentials: &credentials,
        machines: &machines,
        place: "p".to_owned(),
        asked: None,
        is_stale: false,
    };
    let started = Instant::now();
    source.note(Err(Status::unavailable("")), started);
    assert!(!source.is_stale);
    tokio::time::advance(STALE + Duration::from_millis(1)).await;
    source.note(Err(Status::unavailable("")), started);
    assert!(source.is_stale && source.place == "p");
    assert!(revoked.includes(&token(&mine, at(0)), false));
    source.note(Ok(()), started);
    assert!(!source.is_stale);
}
