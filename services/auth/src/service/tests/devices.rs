//! Devices on which somebody signed in before (OWASP, device cookies).

use causeway_context::Remote;
use secrecy::ExposeSecret as _;

use super::*;

const ATTACKER: [u8; 4] = [203, 0, 113, 9];

fn from(address: [u8; 4], seconds: i64) -> CallContext {
    anonymous("Login", seconds).from_remote(Some(Remote::new(address.into(), "curl/8")))
}

/// Logs in with what the device shows; answers what it shows the next time.
async fn log_in(
    world: &World,
    ctx: &CallContext,
    email: &str,
    password: &str,
    device: &str,
) -> Result<String, AuthError> {
    let request = LoginRequest {
        email: email.to_owned(),
        password: password.to_owned(),
        workspace_id: String::new(),
        device_token: device.to_owned(),
    };
    match world.service.login(ctx, request).await? {
        LoggedIn::Open(_, device) => {
            Ok(device.map_or_else(String::new, |text| text.expose_secret().to_owned()))
        }
        LoggedIn::SecondFactor(_) => panic!("a second factor is asked for"),
    }
}

/// Guesses from that address until nobody may any more.
async fn lock(world: &World, address: [u8; 4], email: &str, seconds: i64) {
    for _ in 0..100 {
        let guess = log_in(world, &from(address, seconds), email, "a wrong password", "").await;
        if let Err(AuthError::TooManyGuesses(_)) = guess {
            return;
        }
    }
    panic!("nothing stops it");
}

async fn known_device(world: &World, email: &str) -> String {
    world.registered(email).await;
    let device = log_in(world, &from([198, 51, 100, 7], 0), email, PASSWORD, "").await;
    let device = device.expect("logged in");
    assert!(device.starts_with("cw_dev_"), "{device}");
    device
}

#[tokio::test]
async fn a_known_device_is_let_in_while_others_lock_its_account() {
    let world = world();
    let device = known_device(&world, "ada@example.com").await;
    // From the very address of the owner, who shares it with the attacker.
    lock(&world, ATTACKER, "ada@example.com", 10).await;
    for stranger in 0..50 {
        let ctx = from([192, 0, 2, stranger], 10);
        let _ = log_in(&world, &ctx, "ada@example.com", "a wrong password", "").await;
    }
    let ctx = from(ATTACKER, 10);
    let unknown = log_in(&world, &ctx, "ada@example.com", PASSWORD, "").await;
    assert_eq!(reason(unknown), "TOO_MANY_GUESSES");
    let known = log_in(&world, &ctx, "ada@example.com", PASSWORD, &device).await;
    let next = known.expect("the device has a budget of its own");
    assert_ne!(next, device, "and proves itself anew from then on");
    let unknown = log_in(&world, &ctx, "ada@example.com", PASSWORD, "").await;
    assert_eq!(
        reason(unknown),
        "TOO_MANY_GUESSES",
        "which opens nothing for others"
    );
}

#[tokio::test]
async fn a_known_device_guesses_no_more_than_others_do() {
    let world = world();
    let device = known_device(&world, "ada@example.com").await;
    let mut wrong = 0;
    let wait = loop {
        let ctx = from([192, 0, 2, wrong], 10);
        match log_in(&world, &ctx, "ada@example.com", "a wrong password", &device).await {
            Err(AuthError::InvalidCredentials) => wrong += 1,
            Err(AuthError::TooManyGuesses(wait)) => break wait,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((wrong, wait.as_secs()), (11, 2), "wherever it is");
    let right = log_in(&world, &from(ATTACKER, 10), "ada@example.com", PASSWORD, &device).await;
    assert_eq!(reason(right), "TOO_MANY_GUESSES");
    let elsewhere = log_in(&world, &from(ATTACKER, 10), "ada@example.com", PASSWORD, "").await;
    elsewhere.expect("its guesses keep nobody else waiting");
}

#[tokio::test]
async fn a_device_is_good_for_its_own_account_and_while_it_is_known() {
    let world = world();
    let device = known_device(&world, "eve@example.com").await;
    world.registered("ada@example.com").await;
    lock(&world, ATTACKER, "ada@example.com", 10).await;
    const YEAR: i64 = 365 * 24 * 60 * 60;
    for shown in [device.as_str(), "", "cw_dev_", "cw_dev_AAAA", "nonsense"] {
        let foreign = log_in(&world, &from(ATTACKER, 10), "ada@example.com", PASSWORD, shown).await;
        assert_eq!(reason(foreign), "TOO_MANY_GUESSES", "{shown}");
    }
    lock(&world, ATTACKER, "eve@example.com", YEAR + 10).await;
    let late = log_in(
        &world,
        &from(ATTACKER, YEAR + 10),
        "eve@example.com",
        PASSWORD,
        &device,
    )
    .await;
    assert_eq!(
        reason(late),
        "TOO_MANY_GUESSES",
        "a year later it is unknown again"
    );
}

#[tokio::test]
async fn no_device_is_known_where_that_is_switched_off() {
    let world = world_with(|config| config.device_life = None);
    world.registered("ada@example.com").await;
    let device = log_in(&world, &from(ATTACKER, 0), "ada@example.com", PASSWORD, "").await;
    assert_eq!(device.expect("logged in"), "");
}

#[tokio::test]
async fn a_device_that_is_known_says_nothing_of_who_has_an_account() {
    let world = world();
    let device = known_device(&world, "ada@example.com").await;
    for email in ["ada@example.com", "nobody@example.com"] {
        let refused = log_in(&world, &from(ATTACKER, 5), email, "a wrong password", &device).await;
        assert_eq!(reason(refused), "INVALID_CREDENTIALS", "{email}");
    }
}
