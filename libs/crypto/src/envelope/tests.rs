use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

mod parser;
mod places;
mod two_keys;
mod wycheproof;

const CONTENT: &[u8] = b"sk-test-0123456789";

fn key(byte: u8) -> DataKey {
    DataKey::from_bytes(&[byte; 32]).expect("32 bytes")
}

fn place() -> Associated<'static> {
    Associated {
        workspace: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
        table: "tenancy.secrets",
        column: "value",
        row: "openai",
        version: 3,
        purpose: "secret",
    }
}

/// The place with one part changed, for every part.
fn other_places() -> [Associated<'static>; 6] {
    let place = place();
    [
        Associated {
            workspace: Uuid::from_u128(2),
            ..place
        },
        Associated {
            table: "tenancy.other",
            ..place
        },
        Associated {
            column: "other",
            ..place
        },
        Associated {
            row: "anthropic",
            ..place
        },
        Associated { version: 2, ..place },
        Associated {
            purpose: "other",
            ..place
        },
    ]
}

#[derive(serde::Deserialize)]
struct Vector {
    name: String,
    key: String,
    key_version: u32,
    message_id: String,
    plaintext: String,
    workspace: Uuid,
    table: String,
    column: String,
    row: String,
    version: u32,
    purpose: String,
    envelope: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../tests/vectors/envelope.json")).expect("the vectors are JSON")
}

/// KEY-01.
#[test]
fn the_format_is_frozen() {
    for vector in vectors() {
        let bytes = |text: &str| hex::decode(text).expect("hex");
        let key = DataKey::from_bytes(&bytes(&vector.key)).expect("32 bytes");
        let id = bytes(&vector.message_id).try_into().expect("24 bytes");
        let place = Associated {
            workspace: vector.workspace,
            table: &vector.table,
            column: &vector.column,
            row: &vector.row,
            version: vector.version,
            purpose: &vector.purpose,
        };
        let (aad, plaintext) = (place.encode().expect("complete"), bytes(&vector.plaintext));
        let sealed = seal_with_id(
            Domain::Value,
            key.bytes(),
            vector.key_version,
            id,
            &plaintext,
            aad,
        );
        assert_eq!(
            sealed.map(hex::encode),
            Ok(vector.envelope.clone()),
            "{}",
            vector.name
        );
        let envelope = bytes(&vector.envelope);
        assert_eq!(
            open(&key, &envelope, &place).expect("opens").as_slice(),
            plaintext,
            "{}",
            vector.name
        );
        assert_eq!(
            key_version_of(&envelope),
            Ok(vector.key_version),
            "{}",
            vector.name
        );
    }
}

#[test]
fn an_envelope_is_82_bytes_longer_than_its_content() {
    let envelope = seal(&key(1), 1, CONTENT, &place()).expect("seals");
    assert_eq!(OVERHEAD_BYTES, 82);
    assert_eq!(envelope.len(), CONTENT.len() + OVERHEAD_BYTES);
}

#[test]
fn the_same_content_never_seals_to_the_same_bytes() {
    let seal = || seal(&key(1), 1, CONTENT, &place()).expect("seals");
    assert_ne!(seal(), seal());
}

/// KEY-04: no nonce is drawn, and none is used twice under one key: a key seals one message. So nothing has to be counted.
#[test]
fn every_message_has_a_key_of_its_own() {
    let sealed: Vec<Vec<u8>> = (0..1000)
        .map(|_| seal(&key(1), 1, CONTENT, &place()).expect("seals"))
        .collect();
    let ids: BTreeSet<&[u8]> = sealed.iter().map(|envelope| &envelope[10..34]).collect();
    // Out of one expansion with the key: where the commitments differ, the keys do.
    let commitments: BTreeSet<&[u8]> = sealed.iter().map(|envelope| &envelope[34..66]).collect();
    assert_eq!((ids.len(), commitments.len()), (1000, 1000));
}

/// KEY-03.
#[test]
fn a_value_that_was_moved_does_not_open() {
    let places: Vec<_> = std::iter::once(place()).chain(other_places()).collect();
    for (i, home) in places.iter().enumerate() {
        let envelope = seal(&key(1), 1, CONTENT, home).expect("seals");
        for (j, place) in places.iter().enumerate() {
            let opened = open(&key(1), &envelope, place);
            assert_eq!(opened.is_ok(), i == j, "sealed at {home:?}, opened at {place:?}");
        }
    }
}

#[test]
fn parts_of_the_place_cannot_flow_into_one_another() {
    let (one, two) = (
        Associated {
            table: "ab",
            column: "c",
            ..place()
        },
        Associated {
            table: "a",
            column: "bc",
            ..place()
        },
    );
    let envelope = seal(&key(1), 1, CONTENT, &one).expect("seals");
    assert_eq!(open(&key(1), &envelope, &two), Err(CryptoError::Altered));
}

#[test]
fn a_place_without_one_of_its_parts_is_refused() {
    for place in [
        Associated { table: "", ..place() },
        Associated {
            column: "",
            ..place()
        },
        Associated { row: "", ..place() },
        Associated {
            purpose: "",
            ..place()
        },
    ] {
        assert!(matches!(
            seal(&key(1), 1, CONTENT, &place),
            Err(CryptoError::MissingAssociated(_))
        ));
    }
}

#[test]
fn another_key_is_told_apart_from_an_altered_value() {
    let mut envelope = seal(&key(1), 1, CONTENT, &place()).expect("seals");
    assert_eq!(open(&key(2), &envelope, &place()), Err(CryptoError::WrongKey));
    *envelope.last_mut().expect("not empty") ^= 1;
    assert_eq!(open(&key(1), &envelope, &place()), Err(CryptoError::Altered));
}

#[test]
fn the_key_version_in_the_header_is_authentic() {
    let mut envelope = seal(&key(1), 1, CONTENT, &place()).expect("seals");
    envelope[9] = 2;
    assert_eq!(key_version_of(&envelope), Ok(2));
    assert_eq!(open(&key(1), &envelope, &place()), Err(CryptoError::Altered));
}

#[test]
fn unknown_formats_and_suites_are_named() {
    let sealed = seal(&key(1), 1, CONTENT, &place()).expect("seals");
    let with = |position: usize, byte: u8| {
        let mut changed = sealed.clone();
        changed[position] = byte;
        key_version_of(&changed)
    };
    assert_eq!(with(0, b'X'), Err(CryptoError::NotAnEnvelope));
    assert_eq!(with(4, 9), Err(CryptoError::UnknownFormat(9)));
    assert_eq!(with(5, 9), Err(CryptoError::UnknownSuite(9)));
}

/// KEY-01.
#[test]
fn no_prefix_of_an_envelope_panics_or_opens() {
    let envelope = seal(&key(1), 1, CONTENT, &place()).expect("seals");
    for length in 0..envelope.len() {
        let prefix = &envelope[..length];
        assert!(open(&key(1), prefix, &place()).is_err());
        let expected = if length < OVERHEAD_BYTES {
            Err(CryptoError::Truncated)
        } else {
            Ok(1)
        };
        assert_eq!(key_version_of(prefix), expected, "{length} bytes");
    }
}

#[test]
fn a_value_and_a_wrapped_key_are_not_interchangeable() {
    let aad = || place().encode().expect("complete");
    let sealed = seal_bytes(Domain::Wrap, &[1; 32], 1, CONTENT, aad()).expect("seals");
    assert_eq!(
        open_bytes(Domain::Value, &[1; 32], &sealed, aad()),
        Err(CryptoError::WrongKey)
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(open(&key(1), &bytes, &place()).is_err());
    }

    #[test]
    fn arbitrary_bytes_after_a_good_header_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let envelope = [&b"CWEV\x01\x01"[..], &bytes].concat();
        prop_assert!(open(&key(1), &envelope, &place()).is_err());
    }

    #[test]
    fn what_was_sealed_opens(content in proptest::collection::vec(any::<u8>(), 0..300), version: u32) {
        let envelope = seal(&key(1), version, &content, &place()).expect("seals");
        let opened = open(&key(1), &envelope, &place()).expect("opens");
        prop_assert_eq!(opened.as_slice(), content);
        prop_assert_eq!(key_version_of(&envelope), Ok(version));
    }

    #[test]
    fn one_changed_bit_anywhere_is_noticed(position in 0..100_usize, bit in 0..8_u32) {
        let mut envelope = seal(&key(1), 1, CONTENT, &place()).expect("seals");
        prop_assert_eq!(envelope.len(), 100);
        envelope[position] ^= 1 << bit;
        prop_assert!(open(&key(1), &envelope, &place()).is_err());
    }
}
