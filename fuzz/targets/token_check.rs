#![no_main]
//! Opaque tokens: only the shape and the checksum of one that could have been minted pass.

use causeway_crypto::token::{PERSONAL_ACCESS_TOKEN, REFRESH_TOKEN, check};
use libfuzzer_sys::fuzz_target;

/// A minted token; its checksum is right.
const GOOD: &str = include_str!("../seeds/token/minted");

fuzz_target!(|data: &[u8]| {
    let good = GOOD.trim_end();
    assert!(check(PERSONAL_ACCESS_TOKEN, good));
    if let Ok(text) = str::from_utf8(data) {
        for prefix in [PERSONAL_ACCESS_TOKEN, REFRESH_TOKEN, ""] {
            if check(prefix, text) {
                assert!(text.starts_with(prefix) && text.len() == prefix.len() + 49);
                assert!(text[prefix.len()..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
            }
        }
    }
    // The good token with a few bytes changed: a checksum of 32 bits notices every change within 32 bits.
    let [at, mask @ ..] = data else { return };
    let mut changed = good.as_bytes().to_vec();
    let at = usize::from(*at) % changed.len();
    for (byte, mask) in changed[at..].iter_mut().zip(mask.iter().take(4)) {
        *byte ^= mask;
    }
    if let Ok(changed) = str::from_utf8(&changed) {
        assert_eq!(check(PERSONAL_ACCESS_TOKEN, changed), changed == good);
    }
});
