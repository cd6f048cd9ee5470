use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_egress::EgressOptions;
use causeway_testkit::{Answer, Scanner, ScannerKey, published_keys};

use super::*;

const REPORT: &str = r#"[{"token":"t"}]"#;

pub(crate) fn keys_of(scanner: &Scanner) -> ScanningKeys {
    ScanningKeys::new(scanner.keys_url(), Egress::new(EgressOptions::default()))
}

async fn verified(keys: &ScanningKeys, by: &ScannerKey, report: &str) -> Result<bool, NoKey> {
    let signature = by.sign(REPORT);
    let signature = STANDARD.decode(signature).unwrap();
    keys.verify(&by.id, report.as_bytes(), &signature).await
}

#[tokio::test]
async fn what_is_published_verifies_and_is_fetched_once() {
    let scanner = Scanner::start().await;
    let keys = keys_of(&scanner);
    for _ in 0..3 {
        assert_eq!(verified(&keys, &scanner.key, REPORT).await, Ok(true));
    }
    assert_eq!(
        verified(&keys, &scanner.key, "[]").await,
        Ok(false),
        "another text"
    );
    let impostor = ScannerKey::generate("one");
    assert_eq!(
        verified(&keys, &impostor, REPORT).await,
        Ok(false),
        "another key of that id"
    );
    assert_eq!(scanner.server.seen().len(), 1);
}

#[tokio::test]
async fn a_flood_of_unknown_ids_is_one_fetch() {
    let scanner = Scanner::start().await;
    let keys = keys_of(&scanner);
    let asked = (0..50).map(|number| {
        let keys = &keys;
        async move { keys.verify(&number.to_string(), b"", b"").await }
    });
    let answers = futures::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| *answer == Err(NoKey::Unknown)));
    assert_eq!(keys.verify("", b"", b"").await, Err(NoKey::Unknown));
    assert_eq!(
        keys.verify(&"k".repeat(LONGEST_ID + 1), b"", b"").await,
        Err(NoKey::Unknown)
    );
    assert_eq!(scanner.server.seen().len(), 1);
}

#[tokio::test]
async fn while_the_keys_cannot_be_had_nobody_is_called_a_liar() {
    let scanner = Scanner::start().await;
    for bad in [
        Answer::json(200, serde_json::json!({"public_keys": []})),
        Answer::json(
            200,
            serde_json::json!({"public_keys": [{"key_identifier": "one", "key": "?"}]}),
        ),
        Answer::json(500, serde_json::json!({})),
        Answer::json(302, serde_json::json!({})),
    ] {
        scanner.server.then(bad);
        assert_eq!(
            verified(&keys_of(&scanner), &scanner.key, REPORT).await,
            Err(NoKey::Away)
        );
    }
}

#[test]
fn a_key_counts_while_it_is_published_and_for_a_day_while_nobody_can_tell() {
    let began = Instant::now();
    let later = |seconds| began + Duration::from_secs(seconds);
    let key = ScannerKey::generate("one");
    let state = |asked| State {
        keys: published(&published_keys(&[&key])).expect("keys"),
        fetched: Some(began),
        asked: Some(asked),
    };
    let known = |state: &State, id, at| state.find(id, at).map(|answer| answer.map(drop));
    assert_eq!(known(&state(began), "one", later(3599)), Some(Ok(())));
    assert_eq!(known(&state(began), "two", later(29)), Some(Err(NoKey::Unknown)));
    assert_eq!(known(&state(began), "two", later(30)), None, "it is time to ask");
    assert_eq!(
        known(&state(began), "one", later(3600)),
        None,
        "it is time to ask"
    );
    let failed = |at| state(later(at));
    assert_eq!(
        known(&failed(7200), "one", later(7210)),
        Some(Ok(())),
        "they were asked in vain"
    );
    assert_eq!(known(&failed(7200), "two", later(7210)), Some(Err(NoKey::Away)));
    assert_eq!(
        known(&failed(86_400), "one", later(86_401)),
        Some(Err(NoKey::Away))
    );
}
