#![no_main]
//! Envelopes that nobody sealed do not open, whatever they say.

use std::sync::LazyLock;

use causeway_crypto::{Associated, DataKey, OVERHEAD_BYTES, key_version_of, open, seal};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const CONTENT: &[u8] = b"sk-test-0123456789";
const PLACE: Associated<'static> = Associated {
    workspace: Uuid::from_u128(1),
    table: "tenancy.secrets",
    column: "value",
    row: "openai",
    version: 3,
    purpose: "secret",
};

static KEY: LazyLock<DataKey> = LazyLock::new(|| DataKey::from_bytes(&[7; 32]).expect("32 bytes"));
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| seal(&KEY, 1, CONTENT, &PLACE).expect("seals"));

fn refused(envelope: &[u8]) {
    let version = key_version_of(envelope);
    assert!(version.is_err() || envelope.len() >= OVERHEAD_BYTES);
    assert!(open(&KEY, envelope, &PLACE).is_err());
}

fuzz_target!(|data: &[u8]| {
    refused(data);
    refused(&[b"CWEV\x01\x01", data].concat());
    // A good envelope with the input laid over it.
    let changed: Vec<u8> = GOOD
        .iter()
        .enumerate()
        .map(|(at, byte)| byte ^ data.get(at).copied().unwrap_or(0))
        .collect();
    if changed == *GOOD {
        assert_eq!(open(&KEY, &changed, &PLACE).expect("opens").as_slice(), CONTENT);
    } else {
        refused(&changed);
    }
    // The input as content comes back as it was.
    let sealed = seal(&KEY, 1, data, &PLACE).expect("seals");
    assert_eq!(sealed.len(), data.len() + OVERHEAD_BYTES);
    assert_eq!(open(&KEY, &sealed, &PLACE).expect("opens").as_slice(), data);
});
