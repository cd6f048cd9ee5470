use secrecy::{ExposeSecret as _, SecretString};

use super::*;

async fn refresh(world: &World, token: &SecretString, seconds: i64) -> Result<Tokens, AuthError> {
    world.service.refresh(&anonymous("Refresh", seconds), token).await
}

async fn logged_in(world: &World) -> Tokens {
    world.registered("ada@example.com").await;
    world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("logged in")
}

fn same(one: &SecretString, two: &SecretString) -> bool {
    one.expose_secret() == two.expose_secret()
}

/// B-AUTH-11, B-AUTH-28.
#[tokio::test]
async fn a_refresh_gives_new_tokens_of_the_same_session() {
    let world = world();
    let first = logged_in(&world).await;
    let second = refresh(&world, &first.refresh, 60).await.expect("refreshed");
    assert_eq!(
        (second.session, second.workspace),
        (first.session, first.workspace)
    );
    assert!(!same(&first.refresh, &second.refresh) && !same(&first.access, &second.access));
    let third = refresh(&world, &second.refresh, 120)
        .await
        .expect("refreshed again");
    assert!(verifier().verify(third.access.expose_secret(), at(120)).is_ok());
}

/// REF-03: the same successor, until it is used.
#[tokio::test]
async fn a_lost_answer_can_be_had_again_until_its_token_is_used() {
    let world = world();
    let first = logged_in(&world).await;
    let second = refresh(&world, &first.refresh, 60).await.expect("refreshed");
    let again = refresh(&world, &first.refresh, 90)
        .await
        .expect("the same answer");
    assert!(same(&second.refresh, &again.refresh));
    refresh(&world, &second.refresh, 91)
        .await
        .expect("the family lives");
    assert_eq!(
        reason(refresh(&world, &first.refresh, 92).await),
        "INVALID_REFRESH_TOKEN"
    );
}

/// REF-03, B-AUTH-11: past the grace.
#[tokio::test]
async fn the_reuse_of_a_token_ends_the_session() {
    let world = world();
    let first = logged_in(&world).await;
    let second = refresh(&world, &first.refresh, 60).await.expect("refreshed");
    assert_eq!(
        reason(refresh(&world, &first.refresh, 91).await),
        "INVALID_REFRESH_TOKEN"
    );
    assert_eq!(
        reason(refresh(&world, &second.refresh, 92).await),
        "INVALID_REFRESH_TOKEN"
    );
    let facts = world.facts().await;
    let closed: Vec<_> = facts
        .iter()
        .filter(|fact| fact.action == "session.closed")
        .collect();
    assert_eq!(closed.len(), 1, "said once");
    assert_eq!(closed[0].details["cause"], "refresh_token_reused");
}

/// REF-03: the immediate parent alone is forgiven.
#[tokio::test]
async fn the_reuse_of_a_grandparent_ends_the_session_even_at_once() {
    let world = world();
    let first = logged_in(&world).await;
    let second = refresh(&world, &first.refresh, 60).await.expect("refreshed");
    let third = refresh(&world, &second.refresh, 61).await.expect("refreshed");
    assert_eq!(
        reason(refresh(&world, &first.refresh, 62).await),
        "INVALID_REFRESH_TOKEN"
    );
    assert_eq!(
        reason(refresh(&world, &third.refresh, 63).await),
        "INVALID_REFRESH_TOKEN"
    );
}

/// REF-02, REF-04: who loses the race gets what the winner got.
#[tokio::test(flavor = "multi_thread")]
async fn many_refreshes_of_one_token_at_once_get_one_successor() {
    let world = Arc::new(world());
    let first = logged_in(&world).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let (world, token) = (Arc::clone(&world), first.refresh.clone());
        tasks.spawn(async move { refresh(&world, &token, 60).await.expect("no error").refresh });
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|answer| same(answer, &answers[0])));
    refresh(&world, &answers[0], 61).await.expect("the family lives");
    assert_eq!(world.actions().await, ["account.registered", "session.opened"]);
}

/// B-AUTH-10, B-AUTH-11, REF-05: the idle end.
#[tokio::test]
async fn a_refresh_restarts_the_thirty_days() {
    let world = world();
    let first = logged_in(&world).await;
    const DAY: i64 = 24 * 60 * 60;
    let second = refresh(&world, &first.refresh, 29 * DAY)
        .await
        .expect("within the 30 days");
    let third = refresh(&world, &second.refresh, 58 * DAY)
        .await
        .expect("within the next 30");
    assert_eq!(
        reason(refresh(&world, &third.refresh, 88 * DAY).await),
        "INVALID_REFRESH_TOKEN"
    );
}

/// REF-06: a role that is lost.
#[tokio::test]
async fn roles_are_asked_for_again() {
    let world = world();
    let made = world.registered("ada@example.com").await;
    let first = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("logged in");
    world.set_role(made.user, "viewer");
    let second = refresh(&world, &first.refresh, 60).await.expect("refreshed");
    let claims = verifier()
        .verify(second.access.expose_secret(), at(60))
        .expect("genuine");
    assert_eq!(claims.roles, ["viewer"]);
    world.leave(made.user);
    assert_eq!(
        reason(refresh(&world, &second.refresh, 120).await),
        "INVALID_REFRESH_TOKEN"
    );
    let fact = world.facts().await.pop().unwrap();
    assert_eq!(
        (fact.action.as_str(), &fact.details["cause"]),
        ("session.closed", &"membership_lost".into())
    );
}

#[tokio::test]
async fn a_tenancy_that_is_away_uses_no_token_up() {
    let world = world();
    let first = logged_in(&world).await;
    world.tenancy_is_away(true);
    assert_eq!(
        reason(refresh(&world, &first.refresh, 60).await),
        "TENANCY_UNAVAILABLE"
    );
    world.tenancy_is_away(false);
    assert!(refresh(&world, &first.refresh, 3600).await.is_ok());
}

/// REF-01.
#[tokio::test]
async fn invented_tokens_are_refused() {
    let world = world();
    let first = logged_in(&world).await;
    let changed = first.refresh.expose_secret().replace("cw_rt_", "cw_pat_");
    for text in ["", "x", &changed, first.access.expose_secret()] {
        assert_eq!(
            reason(refresh(&world, &text.into(), 60).await),
            "INVALID_REFRESH_TOKEN"
        );
    }
}

/// REF-06, B-AUTH-28.
#[tokio::test]
async fn a_logout_ends_the_session_once() {
    let world = world();
    let first = logged_in(&world).await;
    for seconds in [10, 11] {
        let ctx = anonymous("Logout", seconds);
        world
            .service
            .logout(&ctx, &first.refresh)
            .await
            .expect("never an error");
        world
            .service
            .logout(&ctx, &"unknown".into())
            .await
            .expect("never an error");
    }
    assert_eq!(
        reason(refresh(&world, &first.refresh, 60).await),
        "INVALID_REFRESH_TOKEN"
    );
    assert_eq!(
        world.actions().await,
        ["account.registered", "session.opened", "session.closed"]
    );
}

/// REF-09: who came with a used token is told once, by family, generation and hashes that name nobody.
#[tokio::test]
async fn a_reuse_is_told_once_with_its_family_and_hashes_of_who_came() {
    let world = world();
    let first = logged_in(&world).await;
    let second = refresh(&world, &first.refresh, 60).await.expect("refreshed");
    let third = refresh(&world, &second.refresh, 61).await.expect("refreshed");
    for (seconds, agent) in [(100, "curl/8"), (101, "wget/1"), (102, "curl/8")] {
        let remote = causeway_context::Remote::new([203, 0, 113, 9].into(), agent);
        let ctx = anonymous("Refresh", seconds).from_remote(Some(remote));
        let reused = world.service.refresh(&ctx, &second.refresh).await;
        assert_eq!(reason(reused), "INVALID_REFRESH_TOKEN");
    }
    assert_eq!(
        reason(refresh(&world, &third.refresh, 103).await),
        "INVALID_REFRESH_TOKEN"
    );
    let facts = world.facts().await;
    let closed: Vec<_> = facts
        .iter()
        .filter(|fact| fact.action == "session.closed")
        .collect();
    let [fact] = closed[..] else {
        panic!("said once: {}", closed.len())
    };
    assert_eq!(fact.target_id, first.session.to_string(), "the family");
    assert_eq!(fact.details["cause"], "refresh_token_reused");
    assert_eq!(fact.details["generation"], 1);
    for name in ["address_hash", "agent_hash"] {
        assert_eq!(fact.details[name].as_str().map(str::len), Some(16), "{name}");
    }
    let told = serde_json::to_string(fact).expect("json");
    for plain in ["203.0.113", "curl", second.refresh.expose_secret()] {
        assert!(!told.contains(plain), "{plain}");
    }
}
