//! What was found where it should not be (TOK-05).

use std::sync::Arc;

use causeway_testkit::{Answer, Scanner, ScannerKey};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::oauth::oauth;
use super::*;
use crate::mailer::{self, tests::Sent};
use crate::scanning::tests::keys_of;
use crate::service::ScanReport;
use crate::service::clients::RotationEnd;
use crate::store::HistoryStore as _;

impl World {
    async fn found(&self, token: &SecretString, seconds: i64) -> Result<(), AuthError> {
        let ctx = oauth("ReportLeakedToken", &Caller::anonymous(), seconds);
        self.service.report_leak(&ctx, token, "").await
    }

    /// The labels of a report, or why it is not taken.
    async fn scanned(&self, body: &str, key: &str, signature: &str) -> Result<Vec<&'static str>, String> {
        let ctx = oauth("ReportScannedTokens", &Caller::anonymous(), 1);
        let report = ScanReport {
            body: body.as_bytes(),
            key_id: key,
            signature,
        };
        match self.service.report_scanned(&ctx, report).await {
            Ok(labels) => Ok(labels.iter().map(|scanned| scanned.label()).collect()),
            Err(error) => Err(ApiError::from(error).reason.into_owned()),
        }
    }
}

#[tokio::test]
async fn a_token_that_was_found_is_ended_and_its_owner_learns_of_it() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let client = world.client(&owner, &["secrets.read"]).await;
    let session = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("logged in");
    let key = world.key(&owner, &["secrets.read"]).await;
    let machine = world.grant_client(&client, "").await.expect("granted");
    let report = async |token: &SecretString, place: &str| {
        let ctx = oauth("ReportLeakedToken", &Caller::anonymous(), 1);
        world.service.report_leak(&ctx, token, place).await
    };
    for token in [&session.refresh, &key.secret, &machine.access] {
        report(token, "https://paste.example/1").await.expect("taken");
        assert_eq!(world.looked_into(&client, token, 2).await, None);
        let fact = world.facts().await.pop().unwrap();
        assert_eq!(fact.action, "token.leaked");
        assert_eq!(fact.workspace, owner.workspace.unwrap());
        assert_eq!(fact.details["found_at"], "https://paste.example/1");
        assert!(!format!("{fact:?}").contains(token.expose_secret()));
    }
    let before = world.actions().await.len();
    report(&key.secret, "")
        .await
        .expect("a second time is nothing new");
    report(&"unknown".into(), "")
        .await
        .expect("who asks learns nothing");
    assert_eq!(world.actions().await.len(), before);
    let telling = format!("https://x.example/?key={}", key.secret.expose_secret());
    assert_eq!(reason(report(&key.secret, &telling).await), "INVALID_REQUEST");
    assert_eq!(reason(report(&"".into(), "").await), "INVALID_REQUEST");
}

#[tokio::test]
async fn a_client_s_secret_is_known_without_its_client_and_taken_away() {
    let world = world_with(|config| config.pepper = Some("a pepper of thirty-two bytes or more".into()));
    let owner = world.person("ada@example.com", Role::Owner).await;
    let made = world.client(&owner, &["secrets.read"]).await;
    let id = made.client.id.to_string();
    world.granted(&id, &made.secret, 0).await.expect("in force");
    world.found(&made.secret, 1).await.expect("taken");
    assert_eq!(
        reason(world.granted(&id, &made.secret, 1).await),
        "INVALID_CLIENT"
    );
    let fact = world.facts().await.pop().unwrap();
    assert_eq!(
        (fact.action.as_str(), &fact.details["kind"]),
        ("token.leaked", &json!("client_secret"))
    );
    assert_eq!(
        (fact.workspace, fact.target_id.as_str()),
        (owner.workspace.unwrap(), id.as_str())
    );
    assert!(!format!("{fact:?}").contains(made.secret.expose_secret()));
    let ended = world
        .store
        .revocations()
        .after("", at(1))
        .await
        .expect("answered")
        .revocations;
    let client = causeway_revocation::Ended::Client(made.client.id.0);
    // As long as another replica may remember the secret.
    let past = at(1) + TimeDelta::seconds(5);
    assert!(
        ended
            .iter()
            .any(|row| row.ended == client && row.valid_after == Some(past)),
        "{ended:?}"
    );
    let before = world.actions().await.len();
    world
        .found(&made.secret, 2)
        .await
        .expect("a second time is nothing new");
    world
        .found(&causeway_crypto::token::mint("cw_cs_").secret, 2)
        .await
        .expect("who asks learns nothing");
    assert_eq!(world.actions().await.len(), before);
    let ctx = super::clients::client_call("RotateClient", &owner, 3);
    let next = world
        .service
        .rotate_client(&ctx, &id, None)
        .await
        .expect("a new secret");
    world.granted(&id, &next.secret, 3).await.expect("in force");
}

#[tokio::test]
async fn of_two_secrets_the_one_that_was_found_goes_and_the_other_stays() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    for leaks_new in [true, false] {
        let made = world.client(&owner, &[]).await;
        let id = made.client.id.to_string();
        let ctx = super::clients::client_call("RotateClient", &owner, 1);
        let second = world
            .service
            .rotate_client(&ctx, &id, Some(60))
            .await
            .expect("started");
        let (gone, left) = match leaks_new {
            true => (&second.secret, &made.secret),
            false => (&made.secret, &second.secret),
        };
        world.found(gone, 2).await.expect("taken");
        assert_eq!(reason(world.granted(&id, gone, 2).await), "INVALID_CLIENT");
        world
            .granted(&id, left, 1_000_000)
            .await
            .expect("it has no end any more");
        let over = world.service.end_rotation(&ctx, &id, RotationEnd::Complete).await;
        assert_eq!(reason(over), "NO_ROTATION_RUNNING");
    }
}

#[tokio::test]
async fn the_owner_of_what_was_found_gets_a_mail_without_a_link() {
    let sent = Sent::default();
    let (post, carrier) = mailer::with(Box::new(sent.clone()), "https://door.example".to_owned());
    let mut world = world();
    world.service = world.service.with_mail(post);
    let owner = world.person("ada@example.com", Role::Owner).await;
    let (client, key) = (
        world.client(&owner, &[]).await,
        world.key(&owner, &["secrets.read"]).await,
    );
    for token in [&client.secret, &key.secret, &key.secret] {
        world.found(token, 1).await.expect("taken");
    }
    drop(world);
    let stop = CancellationToken::new();
    stop.cancel();
    carrier.run(stop).await;
    let mut mails = sent.mails();
    mails.retain(|(_, text)| text.contains("token.leaked"));
    let first: Vec<&str> = mails
        .iter()
        .filter_map(|(_, text)| text.split(" was found").next())
        .collect();
    assert_eq!(
        first,
        [
            "The secret of an OAuth client that you made",
            "An API key that you made"
        ]
    );
    for (to, text) in &mails {
        assert_eq!(to, "ada@example.com");
        assert!(
            !text.contains("http") && !text.contains(key.secret.expose_secret()),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_signed_report_ends_what_is_ours_and_labels_the_rest() {
    let scanner = Scanner::start().await;
    let mut world = world();
    let unsigned = world.scanned("[]", "one", "AAAA").await;
    assert_eq!(unsigned, Err("SCANNING_DISABLED".to_owned()));
    world.service = world.service.with_scanning(Some(Arc::new(keys_of(&scanner))));
    let owner = world.person("ada@example.com", Role::Owner).await;
    let client = world.client(&owner, &["secrets.read"]).await;
    let key = world.key(&owner, &["secrets.read"]).await;
    let foreign = causeway_crypto::token::mint("cw_key_").secret;
    let url = format!("https://github.com/x?key={}", key.secret.expose_secret());
    let entry = |token: &SecretString| json!({"token": token.expose_secret(), "type": "t", "url": url, "source": "content"});
    let body = json!([entry(&key.secret), entry(&foreign), entry(&client.secret)]).to_string();
    let signature = scanner.key.sign(&body);
    let labels = world.scanned(&body, "one", &signature).await;
    assert_eq!(
        labels,
        Ok(vec!["true_positive", "false_positive", "true_positive"])
    );
    assert_eq!(reason(world.proves(&key.secret, 2).await), "UNAUTHENTICATED");
    let id = client.client.id.to_string();
    assert_eq!(
        reason(world.granted(&id, &client.secret, 2).await),
        "INVALID_CLIENT"
    );
    let facts = world.facts().await;
    let leaked: Vec<_> = facts
        .iter()
        .filter(|fact| fact.action == "token.leaked")
        .collect();
    assert_eq!(leaked.len(), 2);
    assert_eq!(leaked[0].details["found_at"], "https://github.com/x");
    assert!(!format!("{facts:?}").contains(key.secret.expose_secret()));
}

#[tokio::test]
async fn a_report_that_nobody_signed_is_not_read() {
    let scanner = Scanner::start().await;
    let mut world = world();
    world.service = world.service.with_scanning(Some(Arc::new(keys_of(&scanner))));
    let owner = world.person("ada@example.com", Role::Owner).await;
    let key = world.key(&owner, &["secrets.read"]).await;
    let body = json!([{"token": key.secret.expose_secret(), "type": "t", "url": ""}]).to_string();
    let (genuine, impostor) = (scanner.key.sign(&body), ScannerKey::generate("one"));
    for (body, key, signature) in [
        (format!("{body} "), "one", genuine.clone()),
        (body.clone(), "two", genuine.clone()),
        (body.clone(), "", genuine.clone()),
        (body.clone(), "one", impostor.sign(&body)),
        (body.clone(), "one", String::new()),
        (body.clone(), "one", "not base64".to_owned()),
    ] {
        let refused = world.scanned(&body, key, &signature).await;
        assert_eq!(refused, Err("SIGNATURE_REFUSED".to_owned()), "{key} {signature}");
    }
    world.proves(&key.secret, 2).await.expect("it was not ended");
    for wrong in ["{}", "[1]", r#"[{"token":""}]"#, r#"[{"type":"t"}]"#, ""] {
        let refused = world.scanned(wrong, "one", &scanner.key.sign(wrong)).await;
        assert_eq!(refused, Err("INVALID_ARGUMENT".to_owned()), "{wrong}");
    }
    let away = Scanner::start().await;
    away.server.otherwise(Answer::json(503, json!({})));
    world.service = world.service.with_scanning(Some(Arc::new(keys_of(&away))));
    let refused = world.scanned(&body, "one", &genuine).await;
    assert_eq!(
        refused,
        Err("SCANNER_KEYS_UNAVAILABLE".to_owned()),
        "it comes again"
    );
}
