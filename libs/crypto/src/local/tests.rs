use uuid::Uuid;

use super::*;
use crate::CryptoError;

fn secret(text: &str) -> Option<SecretString> {
    Some(SecretString::from(text))
}

fn master(byte: u8) -> Option<SecretString> {
    secret(&STANDARD.encode([byte; 32]))
}

fn ring(keys: LocalKeys) -> LocalRing {
    LocalRing::new(&keys, false).expect("a ring")
}

fn context() -> KeyContext<'static> {
    KeyContext {
        workspace: Uuid::from_u128(1),
        version: 1,
        purpose: "workspace",
    }
}

async fn wrapped(ring: &LocalRing) -> (DataKey, WrappedKey) {
    let key = DataKey::generate().expect("random bytes");
    let wrapped = ring.wrap(&key, &context()).await.expect("wraps");
    (key, wrapped)
}

/// KEY-06: no data key follows from the master key: then forgetting it would make nothing unreadable.
#[tokio::test]
async fn data_keys_are_drawn_and_not_derived() {
    let ring = ring(LocalKeys {
        master: master(1),
        ..LocalKeys::default()
    });
    let (one, _) = ring.generate(&context()).await.expect("made");
    let (other, _) = ring.generate(&context()).await.expect("made");
    assert!(one.bytes() != other.bytes(), "the same place, another key");
}

#[tokio::test]
async fn a_wrapped_key_comes_back() {
    let ring = ring(LocalKeys {
        master: master(1),
        ..LocalKeys::default()
    });
    let (key, wrapped) = wrapped(&ring).await;
    let unwrapped = ring.unwrap_key(&wrapped, &context()).await.expect("unwraps");
    assert_eq!(unwrapped.bytes(), key.bytes());
    assert_eq!(Some(wrapped.key_id.as_str()), ring.active_id());
}

/// KEY-06.
#[tokio::test]
async fn a_wrapped_key_belongs_to_one_workspace_version_and_purpose() {
    let ring = ring(LocalKeys {
        master: master(1),
        ..LocalKeys::default()
    });
    let (_, wrapped) = wrapped(&ring).await;
    for other in [
        KeyContext {
            workspace: Uuid::from_u128(2),
            ..context()
        },
        KeyContext {
            version: 2,
            ..context()
        },
        KeyContext {
            purpose: "other",
            ..context()
        },
    ] {
        let refused = ring.unwrap_key(&wrapped, &other).await.err();
        assert_eq!(refused, Some(KeyError::Refused(CryptoError::Altered)));
    }
}

/// KEY-06: a ring, of which one wraps.
#[tokio::test]
async fn a_previous_key_unwraps_and_never_wraps() {
    let old = ring(LocalKeys {
        master: master(1),
        ..LocalKeys::default()
    });
    let (key, under_old) = wrapped(&old).await;
    let new = ring(LocalKeys {
        master: master(2),
        master_previous: master(1),
        ..LocalKeys::default()
    });
    assert_eq!(
        new.unwrap_key(&under_old, &context())
            .await
            .expect("unwraps")
            .bytes(),
        key.bytes()
    );
    let (_, under_new) = wrapped(&new).await;
    assert_ne!(under_new.key_id, under_old.key_id);
    assert_eq!(
        old.unwrap_key(&under_new, &context()).await.err(),
        Some(KeyError::Unknown(under_new.key_id))
    );
}

/// B-TEN-10 to B-TEN-12: the text is hashed, and a former one opens what lies under it.
#[tokio::test]
async fn both_families_may_be_set_while_moving_from_one_to_the_other() {
    let connector = ring(LocalKeys {
        connector: secret("a pass phrase"),
        ..LocalKeys::default()
    });
    let (key, under_connector) = wrapped(&connector).await;
    let both = ring(LocalKeys {
        master: master(1),
        connector: secret("a pass phrase"),
        ..LocalKeys::default()
    });
    assert_eq!(
        both.unwrap_key(&under_connector, &context())
            .await
            .expect("unwraps")
            .bytes(),
        key.bytes()
    );
    assert!(both.active_id().is_some_and(|id| id.starts_with("master-")));
    let later = ring(LocalKeys {
        connector: secret("another"),
        connector_previous: secret("a pass phrase"),
        ..LocalKeys::default()
    });
    assert!(later.unwrap_key(&under_connector, &context()).await.is_ok());
}

/// KEY-05, B-TEN-8.
#[tokio::test]
async fn without_a_key_every_use_is_a_typed_error() {
    let ring = ring(LocalKeys::default());
    let key = DataKey::generate().expect("random bytes");
    assert_eq!(ring.active_id(), None);
    assert_eq!(ring.wrap(&key, &context()).await.err(), Some(KeyError::Missing));
    let wrapped = WrappedKey {
        key_id: "master-0".to_owned(),
        bytes: Vec::new(),
    };
    assert_eq!(
        ring.unwrap_key(&wrapped, &context()).await.err(),
        Some(KeyError::Missing)
    );
}

/// B-TEN-13.
#[tokio::test]
async fn the_development_key_exists_only_when_allowed_and_gives_way_to_a_real_one() {
    let keys = LocalKeys::default();
    let development = LocalRing::new(&keys, true).expect("a ring");
    assert!(
        development
            .active_id()
            .is_some_and(|id| id.starts_with("development-"))
    );
    let (_, under_development) = wrapped(&development).await;

    let keys = LocalKeys {
        master: master(1),
        ..LocalKeys::default()
    };
    let allowed = LocalRing::new(&keys, true).expect("a ring");
    assert!(allowed.active_id().is_some_and(|id| id.starts_with("master-")));
    assert!(allowed.unwrap_key(&under_development, &context()).await.is_ok());
    let refused = ring(keys).unwrap_key(&under_development, &context()).await.err();
    assert_eq!(refused, Some(KeyError::Unknown(under_development.key_id)));
}

/// KEY-06, B-TEN-9.
#[test]
fn a_master_key_is_standard_base64_of_exactly_32_bytes() {
    let short = STANDARD.encode([1; 31]);
    let long = STANDARD.encode([1; 33]);
    let unpadded = STANDARD.encode([1; 32]).trim_end_matches('=').to_owned();
    for bad in [
        "",
        "not base64!",
        &short,
        &long,
        &unpadded,
        &"ab".repeat(32),
        &"__-_".repeat(11),
    ] {
        let active = LocalKeys {
            master: secret(bad),
            ..LocalKeys::default()
        };
        let setting = "CAUSELOOP_MASTER_KEY";
        assert_eq!(
            LocalRing::new(&active, true).err(),
            Some(KeyError::Malformed { setting })
        );
        let previous = LocalKeys {
            master_previous: secret(bad),
            ..LocalKeys::default()
        };
        let setting = "CAUSELOOP_MASTER_KEY_PREVIOUS";
        assert_eq!(
            LocalRing::new(&previous, true).err(),
            Some(KeyError::Malformed { setting })
        );
    }
}

#[test]
fn errors_name_the_setting_and_not_its_value() {
    let keys = LocalKeys {
        master: secret("s3cr3t"),
        ..LocalKeys::default()
    };
    let error = LocalRing::new(&keys, false).err().expect("refused");
    assert!(!format!("{error} {error:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn damaged_wrapped_bytes_do_not_panic() {
    let ring = ring(LocalKeys {
        master: master(1),
        ..LocalKeys::default()
    });
    let (_, good) = wrapped(&ring).await;
    for length in 0..good.bytes.len() {
        let cut = WrappedKey {
            bytes: good.bytes[..length].to_vec(),
            ..good.clone()
        };
        assert!(matches!(
            ring.unwrap_key(&cut, &context()).await,
            Err(KeyError::Refused(_))
        ));
    }
}

/// B-TEN-10: the key is the SHA-256 of the configured text, whatever its shape.
#[tokio::test]
async fn a_connector_key_is_the_hash_of_its_text() {
    let text = STANDARD.encode([1; 32]);
    let hashed = ring(LocalKeys {
        connector: secret(&text),
        ..LocalKeys::default()
    });
    let (key, under_connector) = wrapped(&hashed).await;
    let by_hand = RingKey::new(
        "connector",
        DataKey::from_bytes(digest(&SHA256, text.as_bytes()).as_ref()).expect("32 bytes"),
    )
    .expect("a key");
    assert_eq!(under_connector.key_id, by_hand.id);
    let opened = open_bytes(
        Domain::Wrap,
        by_hand.key.bytes(),
        &under_connector.bytes,
        by_hand.aad(&context()),
    );
    assert_eq!(opened.expect("opens").as_slice(), key.bytes());
    // The name of the setting decides how it is read: the same text is another key there.
    let read = ring(LocalKeys {
        master: secret(&text),
        ..LocalKeys::default()
    });
    assert_ne!(read.active_id(), hashed.active_id());
}
