//! What AWS says and moto does not: throttling, disabled keys, refusals, silence.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_crypto::{CryptoError, DataKey, KeyContext, KeyError, KeyProvider, WrappedKey};
use causeway_kms::{AccessKey, KmsOptions, KmsProvider, Patience};
use causeway_testkit::{Answer, ScriptedUpstream};
use serde_json::{Value, json};
use tracing_subscriber::util::SubscriberInitExt as _;
use uuid::Uuid;

const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/0d8f3c3e-6f0e-4c5e-8a0c-0d2f0f7d1c11";
const PLAIN: [u8; 32] = [0x5a; 32];

/// Patient enough for a loaded machine, quick where the server answers.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    attempt: Duration::from_secs(5),
    operation: Duration::from_secs(20),
    attempts: 4,
    first_wait: Duration::from_millis(5),
    longest_wait: Duration::from_millis(50),
};

fn answer(status: u16, document: Value) -> Answer {
    Answer::json(status, document).header("content-type", "application/x-amz-json-1.1")
}

fn refusal(status: u16, code: &str) -> Answer {
    answer(status, json!({ "__type": code, "message": "as scripted" }))
}

fn decrypted(key_id: &str) -> Answer {
    let document = json!({ "KeyId": key_id, "Plaintext": STANDARD.encode(PLAIN),
        "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" });
    answer(200, document)
}

async fn provider(endpoint: &str, patience: Patience) -> KmsProvider {
    KmsProvider::new(KmsOptions {
        key_id: ARN.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint_url: Some(endpoint.to_owned()),
        access_key: Some(AccessKey {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "a secret of the tests".into(),
        }),
        patience,
    })
    .await
}

fn context() -> KeyContext<'static> {
    KeyContext {
        workspace: Uuid::from_u128(1),
        version: 3,
        purpose: "workspace data",
    }
}

fn stored() -> WrappedKey {
    WrappedKey {
        key_id: ARN.to_owned(),
        bytes: vec![1, 2, 3],
    }
}

/// What a provider makes of one answer to Decrypt.
async fn after(answer: Answer) -> Result<DataKey, KeyError> {
    let kms = ScriptedUpstream::start().await;
    kms.otherwise(answer);
    let provider = provider(&kms.base_url(), PATIENCE).await;
    provider.unwrap_key(&stored(), &context()).await
}

#[tokio::test]
async fn the_request_names_the_key_and_what_it_belongs_to() {
    let kms = ScriptedUpstream::start().await;
    kms.then(decrypted(ARN));
    let provider = provider(&kms.base_url(), PATIENCE).await;
    let key = provider
        .unwrap_key(&stored(), &context())
        .await
        .expect("unwrapped");
    assert_eq!(key.expose_bytes(), &PLAIN);

    let seen = kms.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("x-amz-target"), "TrentService.Decrypt");
    // Signed for the region of the key, not for the one that was configured beside it.
    assert!(
        seen[0]
            .header("authorization")
            .contains("/eu-west-1/kms/aws4_request")
    );
    let expected = json!({
        "CiphertextBlob": STANDARD.encode([1, 2, 3]),
        "KeyId": ARN,
        "EncryptionContext": {
            "workspace": Uuid::from_u128(1).to_string(),
            "version": "3",
            "purpose": "workspace data",
        },
    });
    assert_eq!(seen[0].json(), expected);
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let kms = ScriptedUpstream::start().await;
    kms.then(refusal(400, "ThrottlingException"))
        .then(refusal(400, "ThrottlingException"))
        .then(decrypted(ARN));
    let provider = provider(&kms.base_url(), PATIENCE).await;
    let key = provider
        .unwrap_key(&stored(), &context())
        .await
        .expect("unwrapped");
    assert_eq!(key.expose_bytes(), &PLAIN);
    assert_eq!(kms.seen().len(), 3);
}

#[tokio::test]
async fn throttling_without_end_is_an_outage_after_a_bounded_number_of_attempts() {
    let kms = ScriptedUpstream::start().await;
    kms.otherwise(refusal(400, "ThrottlingException"));
    let provider = provider(&kms.base_url(), PATIENCE).await;
    let refused = provider.unwrap_key(&stored(), &context()).await.err();
    assert!(matches!(refused, Some(KeyError::Unavailable(_))), "{refused:?}");
    assert_eq!(kms.seen().len(), 4);
}

#[tokio::test]
async fn a_passing_fault_of_the_service_is_tried_again() {
    for code in [
        "KMSInternalException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
    ] {
        let kms = ScriptedUpstream::start().await;
        kms.then(refusal(500, code)).then(decrypted(ARN));
        let provider = provider(&kms.base_url(), PATIENCE).await;
        assert!(provider.unwrap_key(&stored(), &context()).await.is_ok(), "{code}");
    }
}

#[tokio::test]
async fn each_refusal_has_its_meaning() {
    for code in ["DisabledException", "KMSInvalidStateException"] {
        let refused = after(refusal(400, code)).await.err();
        assert_eq!(refused, Some(KeyError::Disabled(ARN.to_owned())), "{code}");
    }
    let refused = after(refusal(400, "NotFoundException")).await.err();
    assert_eq!(refused, Some(KeyError::Unknown(ARN.to_owned())));
    let refused = after(refusal(400, "InvalidCiphertextException")).await.err();
    assert_eq!(refused, Some(KeyError::Refused(CryptoError::Altered)));
    let refused = after(refusal(400, "IncorrectKeyException")).await.err();
    assert_eq!(refused, Some(KeyError::Refused(CryptoError::WrongKey)));
    for code in [
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidKeyUsageException",
        "ValidationException",
    ] {
        let refused = after(refusal(400, code)).await.err();
        assert!(
            matches!(refused, Some(KeyError::Denied { .. })),
            "{code}: {refused:?}"
        );
    }
    for code in ["LimitExceededException", "TooManyRequestsException"] {
        let refused = after(refusal(400, code)).await.err();
        assert!(
            matches!(refused, Some(KeyError::Unavailable(_))),
            "{code}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_of_another_key_or_length_is_refused() {
    let other = ARN.replace("0d8f", "1d8f");
    assert_eq!(
        after(decrypted(&other)).await.err(),
        Some(KeyError::Refused(CryptoError::WrongKey))
    );
    let short = answer(
        200,
        json!({ "KeyId": ARN, "Plaintext": STANDARD.encode([1; 16]) }),
    );
    assert_eq!(
        after(short).await.err(),
        Some(KeyError::Refused(CryptoError::Truncated))
    );
}

#[tokio::test]
async fn silence_ends_with_the_time_for_the_operation() {
    let kms = ScriptedUpstream::start().await;
    kms.otherwise(Answer::hang());
    let patience = Patience {
        attempt: Duration::from_millis(100),
        operation: Duration::from_millis(500),
        ..PATIENCE
    };
    let provider = provider(&kms.base_url(), patience).await;
    let refused = tokio::time::timeout(
        Duration::from_secs(10),
        provider.unwrap_key(&stored(), &context()),
    )
    .await
    .expect("an end")
    .err();
    assert!(matches!(refused, Some(KeyError::Unavailable(_))), "{refused:?}");
}

/// What everything in this process logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_line_of_any_level_and_no_error_shows_a_key() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = subscriber.set_default();

    let kms = ScriptedUpstream::start().await;
    let encrypted = json!({ "KeyId": ARN, "CiphertextBlob": STANDARD.encode([9; 40]) });
    let generated = json!({ "KeyId": ARN, "CiphertextBlob": STANDARD.encode([9; 40]),
        "Plaintext": STANDARD.encode(PLAIN) });
    let broken = format!(r#"{{"KeyId":"{ARN}","Plaintext":"{}""#, STANDARD.encode(PLAIN));
    kms.then(answer(200, encrypted))
        .then(answer(200, generated))
        .then(decrypted(ARN))
        .otherwise(Answer::raw([broken]).header("content-type", "application/x-amz-json-1.1"));
    let provider = provider(&kms.base_url(), PATIENCE).await;
    let key = DataKey::from_bytes(&PLAIN).expect("the length of a key");
    provider.wrap(&key, &context()).await.expect("wrapped");
    provider.generate(&context()).await.expect("generated");
    provider
        .unwrap_key(&stored(), &context())
        .await
        .expect("unwrapped");
    let failed = provider.unwrap_key(&stored(), &context()).await.err();
    assert!(matches!(failed, Some(KeyError::Unavailable(_))), "{failed:?}");

    let logged = String::from_utf8_lossy(&log.0.lock().expect("not poisoned")).into_owned();
    assert!(logged.contains("transmitting request"), "nothing was traced");
    let shown = format!("{logged}\n{failed:?}");
    let forms = [
        STANDARD.encode(PLAIN),
        "5a".repeat(32),
        "Z".repeat(32),
        "90, 90, 90, 90".to_owned(),
        "a secret of the tests".to_owned(),
    ];
    for form in forms {
        assert!(!shown.contains(&form), "{form} was shown");
    }
}
