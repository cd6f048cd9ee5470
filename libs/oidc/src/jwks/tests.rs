//! The client against a server that goes down, slow, empty and on.

use std::sync::atomic::{AtomicU64, Ordering};

use causeway_egress::EgressOptions;
use causeway_testkit::{Issuer, SigningKey};
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use super::state::{BACK_OFF, COOL_DOWN, FRESH, MAX_NEGATIVE, MAX_STALE};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A client of an issuer, with a clock that is moved by hand.
pub(crate) struct World {
    pub(crate) issuer: Issuer,
    pub(crate) keys: Arc<Jwks>,
    elapsed: Arc<AtomicU64>,
}

impl World {
    async fn publishing(keys: &[&SigningKey]) -> Self {
        let issuer = Issuer::start(keys).await;
        let (elapsed, start) = (Arc::<AtomicU64>::default(), Instant::now());
        let offset = Arc::clone(&elapsed);
        let clock: Clock = Arc::new(move || start + Duration::from_millis(offset.load(Ordering::SeqCst)));
        let url = JwksUrl::parse(&issuer.jwks_url(), true).expect("an address");
        let keys = Arc::new(Jwks::new(url, Egress::new(EgressOptions::default()), clock));
        Self {
            issuer,
            keys,
            elapsed,
        }
    }

    fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).expect("short");
        self.elapsed.fetch_add(millis, Ordering::SeqCst);
    }

    async fn has(&self, kid: &str) -> bool {
        self.keys.find(kid).await.is_ok()
    }

    async fn why(&self, kid: &str) -> KeyError {
        self.keys.find(kid).await.expect_err("there is no such key")
    }
}

fn away(retry_after: Duration) -> KeyError {
    KeyError::Away { retry_after }
}

fn key(kid: &str) -> SigningKey {
    SigningKey::generate(kid)
}

#[tokio::test]
async fn a_key_is_fetched_once_and_then_known() {
    let world = World::publishing(&[&key("a"), &key("b")]).await;
    assert!(world.has("a").await && world.has("b").await && world.has("a").await);
    assert_eq!(world.issuer.fetches(), 1);
}

#[tokio::test]
async fn callers_who_come_together_share_one_fetch() {
    let world = World::publishing(&[&key("a")]).await;
    world.issuer.delay(Duration::from_millis(100));
    let found = join_all((0..100).map(|_| world.has("a"))).await;
    assert!(found.into_iter().all(|found| found));
    assert_eq!(world.issuer.fetches(), 1);
}

/// JWK-03.
#[tokio::test]
async fn a_flood_of_unknown_ids_makes_one_fetch_in_thirty_seconds() {
    let world = World::publishing(&[&key("a")]).await;
    assert!(world.has("a").await);
    world.pass(COOL_DOWN);
    for fetches in [2, 3] {
        let kids: Vec<String> = (0..10_000)
            .map(|number| format!("r{}_{number}", fetches * 7919))
            .collect();
        let refused = join_all(kids.iter().map(|kid| world.why(kid))).await;
        assert!(refused.into_iter().all(|error| error == KeyError::Unknown));
        assert_eq!(world.issuer.fetches(), fetches);
        assert!(world.has("a").await, "nobody else suffers");
        world.pass(COOL_DOWN);
    }
}

#[tokio::test]
async fn an_id_that_the_issuer_did_not_know_is_not_asked_for_again_for_a_minute() {
    let world = World::publishing(&[&key("a")]).await;
    assert_eq!(world.why("b").await, KeyError::Unknown);
    world.pass(59 * SECOND);
    assert_eq!(world.why("b").await, KeyError::Unknown);
    assert_eq!(world.issuer.fetches(), 1);
    world.pass(SECOND);
    assert_eq!(world.why("b").await, KeyError::Unknown);
    assert_eq!(world.issuer.fetches(), 2);
}

#[test]
fn unknown_ids_are_remembered_within_bounds() {
    let (mut state, now) = (State::<()>::new(BACK_OFF), Instant::now());
    for number in 0..5000 {
        state.missed(&number.to_string(), now);
    }
    assert_eq!(state.negatives(), MAX_NEGATIVE);
    state.missed("later", now + 60 * SECOND);
    assert_eq!(state.negatives(), 1);
}

/// JWK-05.
#[tokio::test]
async fn after_a_rotation_the_new_key_is_found_and_the_old_one_is_gone() {
    let world = World::publishing(&[&key("old")]).await;
    assert!(world.has("old").await);
    world.issuer.publish(&[&key("new")]);
    assert_eq!(world.why("new").await, KeyError::Unknown, "asked a moment ago");
    world.pass(COOL_DOWN);
    assert!(world.has("new").await);
    assert_eq!(world.why("old").await, KeyError::Unknown);
}

/// JWK-02, JWK-04.
#[tokio::test]
async fn keys_are_refreshed_early_and_a_key_that_was_taken_back_goes_before_they_are_old() {
    let (kept, gone) = (key("kept"), key("gone"));
    let world = World::publishing(&[&kept, &gone]).await;
    world.keys.refresh().await;
    world.issuer.publish(&[&kept]);
    world.pass(FRESH * 8 / 10 - SECOND);
    world.keys.refresh().await;
    assert_eq!(world.issuer.fetches(), 1, "not yet");
    world.pass(SECOND);
    world.keys.refresh().await;
    assert!(world.has("kept").await);
    assert_eq!(world.why("gone").await, KeyError::Unknown);
}

/// JWK-04, EXC-08.
#[tokio::test]
async fn an_outage_ends_nothing_for_a_day_and_then_everything() {
    let world = World::publishing(&[&key("a")]).await;
    assert!(world.has("a").await);
    world.issuer.answer(StatusCode::INTERNAL_SERVER_ERROR, "");
    world.pass(MAX_STALE);
    world.keys.refresh().await;
    assert!(world.has("a").await);
    world.pass(SECOND);
    assert_eq!(world.why("a").await, away(BACK_OFF - SECOND));
    world.issuer.publish(&[&key("a")]);
    world.pass(BACK_OFF);
    assert!(world.has("a").await);
}

#[tokio::test]
async fn a_new_key_during_an_outage_is_not_called_unknown() {
    let world = World::publishing(&[&key("a")]).await;
    assert!(world.has("a").await);
    world.issuer.answer(StatusCode::BAD_GATEWAY, "");
    world.pass(COOL_DOWN);
    assert_eq!(world.why("b").await, away(COOL_DOWN));
    assert!(world.has("a").await);
    assert_eq!(world.issuer.fetches(), 2);
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_nobody_waiting_for_ever() {
    let world = World::publishing(&[&key("a")]).await;
    world.issuer.delay(60 * SECOND);
    let gone = tokio::time::timeout(Duration::from_millis(100), world.keys.find("a")).await;
    assert!(gone.is_err());
    world.issuer.delay(Duration::ZERO);
    assert_eq!(world.why("a").await, away(BACK_OFF));
    world.pass(BACK_OFF);
    assert!(world.has("a").await);
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_is_asked_every_ten_seconds() {
    let world = World::publishing(&[]).await;
    for fetches in 1..4 {
        assert_eq!(world.why("a").await, away(BACK_OFF));
        assert_eq!(world.why("b").await, away(BACK_OFF));
        assert_eq!(world.issuer.fetches(), fetches);
        world.pass(BACK_OFF);
    }
}

#[tokio::test]
async fn a_slow_issuer_is_given_up_on_and_slows_nobody_who_has_a_known_key() {
    let world = World::publishing(&[&key("a")]).await;
    assert!(world.has("a").await);
    world.issuer.delay(60 * SECOND);
    world.pass(FRESH);
    let began = Instant::now();
    let (unknown, known) = tokio::join!(world.why("b"), async {
        let answers = join_all((0..50).map(|_| world.has("a"))).await;
        (answers.into_iter().all(|found| found), began.elapsed())
    });
    assert_eq!(unknown, away(COOL_DOWN));
    assert!(
        began.elapsed() < 8 * SECOND,
        "five seconds and no more: {:?}",
        began.elapsed()
    );
    assert!(known.0 && known.1 < SECOND, "{known:?}");
}

/// JWK-01, JWK-06.
#[tokio::test]
async fn an_answer_that_is_no_key_set_keeps_the_old_keys() {
    let (old, world) = (key("a"), World::publishing(&[]).await);
    let many: Vec<Value> = (0..65).map(|_| old.jwk()).collect();
    let bad = [
        (StatusCode::OK, r#"{"keys": []}"#.to_owned()),
        (StatusCode::OK, r#"{"keys": {}}"#.to_owned()),
        (StatusCode::OK, r#"{"keys": [], "keys": []}"#.to_owned()),
        (StatusCode::OK, "{}".to_owned()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, String::new()),
        (StatusCode::OK, json!({ "keys": many }).to_string()),
        (
            StatusCode::OK,
            json!({"keys": [key("b").jwk()], "x": "x".repeat(1 << 20)}).to_string(),
        ),
        (StatusCode::FOUND, json!({"keys": [key("b").jwk()]}).to_string()),
        (StatusCode::CREATED, json!({"keys": [key("b").jwk()]}).to_string()),
        (StatusCode::NOT_FOUND, String::new()),
    ];
    world.issuer.publish(&[&old]);
    assert!(world.has("a").await);
    for (status, body) in bad {
        world.issuer.answer(status, &body);
        world.pass(FRESH);
        let before = world.issuer.fetches();
        world.keys.refresh().await;
        assert_eq!(world.issuer.fetches(), before + 1, "redirects are not followed");
        assert!(world.has("a").await, "{status} {}", &body[..body.len().min(80)]);
    }
}

/// JWK-01.
#[tokio::test]
async fn only_rsa_keys_for_signatures_count() {
    let good = key("good").jwk();
    let with = |kid: &str, changes: Value| {
        let mut jwk = good.clone();
        jwk["kid"] = json!(kid);
        for (name, value) in changes.as_object().expect("an object") {
            jwk[name.as_str()] = value.clone();
        }
        jwk
    };
    // 1024 bits, and 2048 of which the highest is 0.
    let short = "_".repeat(171);
    let almost = format!("P{}", "_".repeat(341));
    let bad = [
        with("enc", json!({"use": "enc"})),
        with("short", json!({"n": short})),
        with("almost", json!({"n": almost})),
        with("long", json!({"n": "_".repeat(1400)})),
        with("three", json!({"e": "Aw"})),
        with("even", json!({"e": "AQAA"})),
        with(
            "padded",
            json!({"n": format!("{}=", good["n"].as_str().expect("text"))}),
        ),
        with("rs512", json!({"alg": "RS512"})),
        with("ps256", json!({"alg": "PS256"})),
        with("oaep", json!({"alg": "RSA-OAEP"})),
        with("a/../b", json!({})),
        with(&"k".repeat(65), json!({})),
        with("", json!({})),
        with("n-missing", json!({"n": null})),
        json!({"kty": "oct", "kid": "oct", "k": "c2VjcmV0", "use": "sig"}),
        json!({"kty": "EC", "kid": "ec", "crv": "P-256", "x": "AA", "y": "AA", "use": "sig"}),
        json!({"kty": "new", "kid": "new"}),
        json!("text"),
    ];
    let kids: Vec<String> = bad
        .iter()
        .filter_map(|jwk| Some(jwk.get("kid")?.as_str()?.to_owned()))
        .collect();
    let mut set = bad.to_vec();
    set.push(with("plain", json!({"alg": null, "use": null})));
    set.push(good.clone());
    let world = World::publishing(&[]).await;
    world
        .issuer
        .answer(StatusCode::OK, &json!({ "keys": set }).to_string());
    assert!(world.has("good").await && world.has("plain").await);
    for kid in kids {
        assert_eq!(world.why(&kid).await, KeyError::Unknown, "{kid}");
    }
}

#[tokio::test]
async fn of_two_keys_under_one_id_the_first_counts() {
    let (first, second) = (key("a"), key("a"));
    let world = World::publishing(&[&first, &second]).await;
    let alone = World::publishing(&[&first]).await;
    assert_eq!(world.keys.find("a").await, alone.keys.find("a").await);
}

#[tokio::test]
async fn keys_are_there_before_the_first_request_and_the_work_ends_when_told() {
    let world = World::publishing(&[&key("a")]).await;
    let stop = CancellationToken::new();
    let mut work = tokio::task::JoinSet::new();
    work.spawn(Arc::clone(&world.keys).run(stop.clone()));
    while world.issuer.fetches() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(world.has("a").await);
    assert_eq!(world.issuer.fetches(), 1);
    stop.cancel();
    work.join_next().await.expect("it ran").expect("it ended well");
}
