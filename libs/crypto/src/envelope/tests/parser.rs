//! Bytes that somebody else chose (KEY-01): every one of them ends in a value or a typed error. The format says no lengths, so
//! nothing is allocated that was not sent.

use super::*;

fn sealed() -> Vec<u8> {
    seal(&key(1), 1, CONTENT, &place()).expect("seals")
}

fn opened(bytes: &[u8]) -> Result<Vec<u8>, CryptoError> {
    open(&key(1), bytes, &place()).map(|content| content.to_vec())
}

/// What the parser must say of `bytes`, written a second time and from the description of the format.
fn expected_version(bytes: &[u8]) -> Result<u32, CryptoError> {
    let start = &bytes[..bytes.len().min(4)];
    match *bytes {
        _ if start != &b"CWEV"[..start.len()] => Err(CryptoError::NotAnEnvelope),
        _ if bytes.len() < 10 => Err(CryptoError::Truncated),
        [_, _, _, _, format, ..] if format != 1 => Err(CryptoError::UnknownFormat(format)),
        [_, _, _, _, _, suite, ..] if suite != 1 => Err(CryptoError::UnknownSuite(suite)),
        _ if bytes.len() < 82 => Err(CryptoError::Truncated),
        _ => Ok(u32::from_be_bytes([bytes[6], bytes[7], bytes[8], bytes[9]])),
    }
}

#[test]
fn every_changed_bit_has_its_own_error() {
    let good = sealed();
    assert_eq!(opened(&good).as_deref(), Ok(CONTENT));
    for position in 0..good.len() {
        for bit in 0..8 {
            let mut changed = good.clone();
            changed[position] ^= 1 << bit;
            let expected = match position {
                0..4 => CryptoError::NotAnEnvelope,
                4 => CryptoError::UnknownFormat(changed[4]),
                5 => CryptoError::UnknownSuite(changed[5]),
                // The message id and the commitment.
                10..66 => CryptoError::WrongKey,
                // The key version, the ciphertext and the tag.
                _ => CryptoError::Altered,
            };
            assert_eq!(opened(&changed), Err(expected), "byte {position}, bit {bit}");
        }
    }
}

#[test]
fn every_prefix_and_every_suffix_is_refused() {
    let good = sealed();
    for length in 0..good.len() {
        let prefix = &good[..length];
        let expected = match length {
            0..82 => CryptoError::Truncated,
            _ => CryptoError::Altered,
        };
        assert_eq!(opened(prefix), Err(expected), "{length} bytes");
        assert!(
            opened(&good[good.len() - length..]).is_err(),
            "the last {length} bytes"
        );
    }
}

#[test]
fn what_follows_an_envelope_belongs_to_it() {
    for extra in 1..40 {
        let longer = [sealed(), vec![0; extra]].concat();
        assert_eq!(opened(&longer), Err(CryptoError::Altered), "{extra} bytes more");
    }
    assert_eq!(opened(&[sealed(), sealed()].concat()), Err(CryptoError::Altered));
}

#[test]
fn a_large_envelope_is_opened_and_a_large_forgery_refused() {
    let content = vec![7; 1 << 20];
    let mut envelope = seal(&key(1), u32::MAX, &content, &place()).expect("seals");
    assert_eq!(opened(&envelope), Ok(content));
    envelope[1 << 19] ^= 1;
    assert_eq!(opened(&envelope), Err(CryptoError::Altered));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn random_bytes_read_as_the_format_says(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(key_version_of(&bytes), expected_version(&bytes));
        prop_assert!(opened(&bytes).is_err());
    }

    #[test]
    fn random_bytes_after_a_piece_of_a_good_header_read_as_the_format_says(
        kept in 0..=10_usize, rest in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = [&b"CWEV\x01\x01\0\0\0\x01"[..kept], &rest].concat();
        prop_assert_eq!(key_version_of(&bytes), expected_version(&bytes));
        prop_assert!(opened(&bytes).is_err());
    }

    #[test]
    fn what_is_overwritten_inserted_or_taken_out_is_noticed(
        at in 0..100_usize, taken in 0..20_usize, put in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let good = sealed();
        let mut changed = good.clone();
        changed.splice(at..(at + taken).min(good.len()), put);
        prop_assume!(changed != good);
        prop_assert_eq!(key_version_of(&changed), expected_version(&changed));
        prop_assert!(opened(&changed).is_err());
    }

    #[test]
    fn content_is_never_longer_than_what_was_sent(content in proptest::collection::vec(any::<u8>(), 0..600)) {
        let envelope = seal(&key(1), 1, &content, &place()).expect("seals");
        prop_assert_eq!(envelope.len(), content.len() + OVERHEAD_BYTES);
        let opened = open(&key(1), &envelope, &place()).expect("opens");
        prop_assert!(opened.capacity() <= envelope.len());
    }
}
