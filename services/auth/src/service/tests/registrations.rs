use causeway_outbox::Outcome;

use super::*;
use crate::domain::Email;

#[tokio::test]
async fn a_registration_makes_an_account_and_its_workspace() {
    let world = world();
    let made = world.registered(" Ada@Example.com ").await;
    assert_eq!(made.email.as_str(), "ada@example.com");
    let memberships = world
        .tenancy
        .memberships(&RequestId::generate(), made.user)
        .await
        .unwrap();
    assert_eq!(memberships[0].workspace, made.workspace);
    let facts = world.facts().await;
    let [fact] = facts.as_slice() else {
        panic!("one fact")
    };
    assert_eq!(
        (fact.action.as_str(), fact.outcome),
        ("account.registered", Outcome::Success)
    );
    assert_eq!(
        (fact.workspace, fact.actor_id.as_str()),
        (made.workspace, made.user.to_string().as_str())
    );
    let shown = format!("{fact:?}");
    assert!(
        !shown.contains("ada@") && !shown.contains(PASSWORD),
        "no personal data in the log: {shown}"
    );
}

#[tokio::test]
async fn a_closed_registration_takes_nobody() {
    let world = world_with(|config| config.registration_open = false);
    let answer = world
        .service
        .register(&anonymous("Register", 0), registration("a@b.c", PASSWORD))
        .await;
    assert_eq!(reason(answer), "REGISTRATION_CLOSED");
}

#[tokio::test]
async fn all_wrong_fields_are_named_at_once() {
    let request = RegisterRequest {
        email: "nobody".to_owned(),
        password: "short".to_owned(),
        workspace_name: " ".to_owned(),
    };
    let answer = world().service.register(&anonymous("Register", 0), request).await;
    let error = ApiError::from(answer.err().unwrap());
    let fields: Vec<&str> = error
        .violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    assert_eq!(fields, ["email", "password", "workspace_name"]);
    assert!(
        !format!("{error:?}").contains("short"),
        "values stay out of errors"
    );
}

#[tokio::test]
async fn an_address_is_taken_once_in_any_spelling() {
    let world = world();
    world.registered("ada@example.com").await;
    for password in [PASSWORD, "another long password"] {
        let request = registration("ADA@example.com", password);
        assert_eq!(
            reason(world.service.register(&anonymous("Register", 1), request).await),
            "EMAIL_TAKEN"
        );
    }
    assert_eq!(world.actions().await, ["account.registered"]);
}

#[tokio::test]
async fn a_registration_that_stopped_half_way_goes_on_when_it_is_sent_again() {
    let world = world();
    world.tenancy_is_away(true);
    let request = || registration("ada@example.com", PASSWORD);
    let answer = world.service.register(&anonymous("Register", 0), request()).await;
    assert_eq!(reason(answer), "TENANCY_UNAVAILABLE");
    assert_eq!(
        reason(world.login("ada@example.com", PASSWORD, "").await),
        "INVALID_CREDENTIALS"
    );
    let half = world
        .service
        .store
        .find_by_email(&Email::parse("ada@example.com").unwrap())
        .await
        .unwrap()
        .unwrap();

    world.tenancy_is_away(false);
    let other = registration("ada@example.com", "another long password");
    assert_eq!(
        reason(world.service.register(&anonymous("Register", 1), other).await),
        "EMAIL_TAKEN"
    );
    let made = world
        .service
        .register(&anonymous("Register", 2), request())
        .await
        .expect("goes on");
    assert_eq!(
        (made.user, made.workspace),
        (half.user, half.home),
        "the same person and workspace"
    );
    assert!(world.login("ada@example.com", PASSWORD, "").await.is_ok());
    assert_eq!(world.actions().await, ["account.registered", "session.opened"]);
}

#[tokio::test]
async fn an_abandoned_address_is_free_after_a_quarter_of_an_hour() {
    let world = world();
    world.tenancy_is_away(true);
    let first = registration("ada@example.com", PASSWORD);
    world
        .service
        .register(&anonymous("Register", 0), first)
        .await
        .expect_err("half way");
    world.tenancy_is_away(false);
    let second = registration("ada@example.com", "another long password");
    world
        .service
        .register(&anonymous("Register", 901), second)
        .await
        .expect("free again");
    assert_eq!(
        reason(world.login("ada@example.com", PASSWORD, "").await),
        "INVALID_CREDENTIALS"
    );
    assert!(
        world
            .login("ada@example.com", "another long password", "")
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn the_same_registration_twice_at_once_makes_one_account() {
    let world = world();
    let request = || registration("ada@example.com", PASSWORD);
    let (one, two) = (anonymous("Register", 0), anonymous("Register", 0));
    let (one, two) = tokio::join!(
        world.service.register(&one, request()),
        world.service.register(&two, request())
    );
    let made: Vec<Registered> = [one, two].into_iter().filter_map(Result::ok).collect();
    assert!(!made.is_empty() && made.iter().all(|other| other.user == made[0].user));
    assert_eq!(world.actions().await, ["account.registered"]);
}
