use causeway_context::Remote;

use super::*;
use crate::service::LoginRequest;

fn from(address: [u8; 4], seconds: i64) -> CallContext {
    anonymous("Login", seconds).from_remote(Some(Remote::new(address.into(), "curl/8")))
}

async fn guess(world: &World, ctx: &CallContext, email: &str, password: &str) -> Result<(), AuthError> {
    let request = LoginRequest {
        email: email.to_owned(),
        password: password.to_owned(),
        workspace_id: String::new(),
        device_token: String::new(),
    };
    world.service.login(ctx, request).await.map(drop)
}

/// Guesses as long as it may; answers how often, and how long to wait then.
async fn guess_on(world: &World, ctx: &CallContext, email: &str) -> (usize, u64) {
    for made in 0..1000 {
        match guess(world, ctx, email, "a wrong password").await {
            Err(AuthError::InvalidCredentials) => {}
            Err(AuthError::TooManyGuesses(wait)) => return (made, wait.as_secs()),
            other => panic!("{other:?}"),
        }
    }
    panic!("nothing stops it");
}

const ATTACKER: [u8; 4] = [203, 0, 113, 9];
const OWN: [u8; 4] = [198, 51, 100, 7];

#[tokio::test]
async fn wrong_guesses_from_one_address_are_slowed_and_look_alike_for_nobody() {
    let world = world();
    world.registered("ada@example.com").await;
    for email in ["ada@example.com", "nobody@example.com"] {
        assert_eq!(
            guess_on(&world, &from(ATTACKER, 0), email).await,
            (6, 2),
            "{email}"
        );
        let later = guess_on(&world, &from(ATTACKER, 2), email).await;
        assert_eq!(later, (1, 4), "{email}: each one doubles the wait");
    }
    let right = guess(&world, &from(ATTACKER, 3), "ada@example.com", PASSWORD).await;
    assert_eq!(
        reason(right),
        "TOO_MANY_GUESSES",
        "a lock is not lifted by guessing right"
    );
    guess(&world, &from(ATTACKER, 6), "ada@example.com", PASSWORD)
        .await
        .expect("the wait is over");
    assert_eq!(
        guess_on(&world, &from(ATTACKER, 7), "ada@example.com").await.0,
        6,
        "begun anew"
    );
}

#[tokio::test]
async fn strangers_do_not_lock_out_who_came_in_before() {
    let world = world();
    world.registered("ada@example.com").await;
    guess(&world, &from(OWN, 0), "ada@example.com", PASSWORD)
        .await
        .expect("a known place from now on");
    for stranger in 0..200 {
        let _ = guess(
            &world,
            &from([203, 0, 113, stranger], 10),
            "ada@example.com",
            "wrong",
        )
        .await;
    }
    let newcomer = guess(&world, &from([192, 0, 2, 1], 10), "ada@example.com", PASSWORD).await;
    let Err(AuthError::TooManyGuesses(wait)) = newcomer else {
        panic!("a new place is slowed: {newcomer:?}")
    };
    assert!(wait.as_secs() <= 60, "and not for long: {wait:?}");
    guess(&world, &from(OWN, 10), "ada@example.com", PASSWORD)
        .await
        .expect("the owner is not kept out");
    let neighbour = [OWN[0], OWN[1], OWN[2], 99];
    guess(&world, &from(neighbour, 10), "ada@example.com", PASSWORD)
        .await
        .expect("nor with another address of the same network");
}

#[tokio::test]
async fn one_address_cannot_try_one_password_on_everybody() {
    let world = world();
    let mut tried = 0;
    for number in 0..200 {
        let email = format!("person{number}@example.com");
        match guess(&world, &from(ATTACKER, 0), &email, "a common password").await {
            Err(AuthError::InvalidCredentials) => tried += 1,
            Err(AuthError::TooManyGuesses(_)) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(tried, 51);
    let elsewhere = guess(&world, &from(OWN, 0), "person1@example.com", "wrong").await;
    assert_eq!(
        reason(elsewhere),
        "INVALID_CREDENTIALS",
        "nobody else is concerned"
    );
}

#[tokio::test]
async fn a_failed_login_is_seen_by_its_victim_alone() {
    let world = world();
    let person = world.person("ada@example.com", Role::Owner).await;
    let _ = guess(&world, &from(ATTACKER, 5), "ada@example.com", "wrong").await;
    let _ = guess(&world, &from(ATTACKER, 5), "nobody@example.com", "wrong").await;
    guess(&world, &from(OWN, 6), "ada@example.com", PASSWORD)
        .await
        .expect("right");
    let ctx = call_of("SessionService", "ListSignIns", person, 7);
    let (found, next) = world.service.list_sign_ins(&ctx, 0, "").await.expect("listed");
    let told: Vec<_> = found
        .iter()
        .map(|sign_in| (sign_in.trace.network.as_str(), sign_in.session.is_some()))
        .collect();
    assert_eq!(told, [("198.51.100.0/24", true), ("203.0.113.0/24", false)]);
    assert_eq!(next, "");
    let failed: Vec<_> = world
        .facts()
        .await
        .into_iter()
        .filter(|fact| fact.action == "login.failed")
        .collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].outcome.as_str(), "denied");
}

/// A guess takes as long as its hash: many are under way before the first is counted.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_at_the_same_time_get_no_more_answers_than_one_after_the_other() {
    let world = world();
    world.registered("ada@example.com").await;
    let ctx = from(ATTACKER, 0);
    let guesses = (0..18).map(|_| guess(&world, &ctx, "ada@example.com", "a wrong password"));
    let answers = futures::future::join_all(guesses).await;
    let count = |reason: &str| {
        let reasons = answers.iter().map(|answer| match answer {
            Err(AuthError::InvalidCredentials) => "wrong",
            Err(AuthError::TooManyGuesses(_)) => "too many",
            other => panic!("{other:?}"),
        });
        reasons.filter(|one| *one == reason).count()
    };
    assert_eq!((count("wrong"), count("too many")), (6, 12));
}

#[tokio::test]
async fn who_asks_which_addresses_have_an_account_by_registering_asks_a_few_times() {
    let world = world();
    world.registered("ada@example.com").await;
    let ctx = |seconds| {
        let remote = Some(Remote::new(ATTACKER.into(), "curl/8"));
        anonymous("Register", seconds).from_remote(remote)
    };
    let mut taken = 0;
    let refused = loop {
        let request = registration("ada@example.com", PASSWORD);
        match world.service.register(&ctx(0), request).await {
            Err(AuthError::EmailTaken) => taken += 1,
            other => break reason(other),
        }
    };
    assert_eq!((taken, refused.as_str()), (51, "TOO_MANY_GUESSES"));
    for number in 0..60 {
        let request = registration(&format!("person{number}@example.com"), PASSWORD);
        let made = world.service.register(&ctx(10_000), request).await;
        made.expect("who registers is not who asks");
    }
}

/// The password of a registration that did not end is the account's to be.
#[tokio::test]
async fn the_password_of_an_unfinished_registration_is_not_guessed_at_by_registering() {
    let world = world();
    world.tenancy_is_away(true);
    let request = |password: &str| registration("ada@example.com", password);
    let ctx = anonymous("Register", 0).from_remote(Some(Remote::new(ATTACKER.into(), "curl/8")));
    let begun = world.service.register(&ctx, request(PASSWORD)).await;
    assert_eq!(reason(begun), "TENANCY_UNAVAILABLE");
    let mut guessed = 0;
    let refused = loop {
        match world.service.register(&ctx, request("a wrong password")).await {
            Err(AuthError::EmailTaken) => guessed += 1,
            other => break reason(other),
        }
    };
    assert_eq!((guessed, refused.as_str()), (6, "TOO_MANY_GUESSES"));
}
