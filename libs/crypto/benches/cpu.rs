//! What sealing, opening and reading a token cost beside the bare primitives, in CPU time of this thread: unlike the
//! time on a clock it means something on a machine that does other things as well.

use std::hint::black_box;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use aws_lc_rs::hmac;
use causeway_crypto::{AccessClaims, AccessTokenKey, Associated, DataKey, open, seal};
use chrono::{DateTime, Utc};
use rustix::time::{ClockId, clock_gettime};
use secrecy::SecretString;
use uuid::Uuid;

const ROUNDS: usize = 15;
const CALLS: u32 = 20_000;
/// What the issue allows for one value (KEY-02), in nanoseconds.
const VALUE_LIMIT: f64 = 1_500.0;
/// What it allows for one access token under HS256.
const TOKEN_LIMIT: f64 = 1_400.0;
const ID: &str = "0190a0b0-c0d0-7000-8000-000000000001";

/// Nanoseconds of CPU time that this thread has used.
fn cpu() -> i128 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}

/// Nanoseconds per call: the median of the rounds, and the best of them.
#[derive(Clone, Copy)]
struct Cost {
    median: f64,
    best: f64,
}

fn measure(mut call: impl FnMut()) -> Cost {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = cpu();
            (0..CALLS).for_each(|_| call());
            (cpu() - start) as f64 / f64::from(CALLS)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    Cost {
        median: rounds[ROUNDS / 2],
        best: rounds[0],
    }
}

fn line(name: &str, cost: Cost, floor: Option<Cost>, limit: Option<f64>) {
    let ratio = floor.map_or(String::new(), |floor| {
        format!("{:>6.2}x", cost.median / floor.median)
    });
    let verdict = limit.map_or("", |limit| if cost.median <= limit { "within" } else { "ABOVE" });
    let limit = limit.map_or(String::new(), |limit| format!("{verdict} {limit:.0}"));
    println!(
        "{name:<46}{:>9.0}{:>9.0}{ratio:>9}  {limit}",
        cost.median, cost.best
    );
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand to a key and a commitment, and the key schedule of AES: what each message needs before its first byte.
fn message_key(key: &[u8; 32], info: &[u8]) -> LessSafeKey {
    let mut derived = [0; 64];
    Prk::new_less_safe(HKDF_SHA256, key)
        .expand(&[info], Length(64))
        .and_then(|okm| okm.fill(&mut derived))
        .expect("derives");
    black_box(&derived);
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &derived[..32]).expect("32 bytes"))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn values(content: usize) {
    let (key, bytes) = (DataKey::from_bytes(&[7; 32]).expect("32 bytes"), [7; 32]);
    let place = Associated {
        workspace: Uuid::from_u128(1),
        table: "tenancy.secrets",
        column: "value",
        row: ID,
        version: 3,
        purpose: "secret",
    };
    let (info, aad, plain) = ([1_u8; 50], [2_u8; 109], vec![3_u8; content]);

    let random = measure(|| aws_lc_rs::rand::fill(black_box(&mut [0; 24])).expect("random"));
    let derive = measure(|| {
        black_box(message_key(black_box(&bytes), &info));
    });
    let mut buffer = plain.clone();
    let floor_seal = measure(|| {
        let mut id = [0; 24];
        aws_lc_rs::rand::fill(&mut id).expect("random");
        black_box(id);
        let tag = message_key(black_box(&bytes), &info).seal_in_place_separate_tag(
            nonce(),
            Aad::from(&aad),
            &mut buffer,
        );
        let _ = black_box(tag.expect("seals"));
    });
    let mut sealed = plain.clone();
    message_key(&bytes, &info)
        .seal_in_place_append_tag(nonce(), Aad::from(&aad), &mut sealed)
        .expect("seals");
    let mut buffer = sealed.clone();
    let floor_open = measure(|| {
        buffer.copy_from_slice(&sealed);
        let opened =
            message_key(black_box(&bytes), &info).open_in_place(nonce(), Aad::from(&aad), &mut buffer);
        black_box(opened.expect("opens"));
    });
    let sealing = measure(|| {
        black_box(seal(black_box(&key), 1, black_box(&plain), &place).expect("seals"));
    });
    let envelope = seal(&key, 1, &plain, &place).expect("seals");
    let opening = measure(|| {
        black_box(open(black_box(&key), black_box(&envelope), &place).expect("opens"));
    });

    let limit = (content <= 256).then_some(VALUE_LIMIT);
    println!("\nvalue of {content} bytes");
    line("  24 random bytes", random, None, None);
    line("  HKDF-Expand 64 B + AES-256 key schedule", derive, None, None);
    line("  primitives of sealing", floor_seal, None, None);
    line("  seal", sealing, Some(floor_seal), limit);
    line("  primitives of opening", floor_open, None, None);
    line("  open", opening, Some(floor_open), limit);
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

fn access_claims() -> AccessClaims {
    AccessClaims {
        iss: None,
        aud: None,
        sub: ID.to_owned(),
        exp: now().timestamp() + 900,
        nbf: now().timestamp(),
        iat: now().timestamp(),
        jti: ID.to_owned(),
        sid: ID.to_owned(),
        workspace_id: ID.to_owned(),
        roles: vec!["owner".to_owned()],
        perm: None,
        scope: "audit.read scoring.read scoring.write tenancy.read".to_owned(),
        mfa: true,
        mfa_required: false,
        mfa_enrolled: false,
        act: None,
        client_id: None,
    }
}

fn tokens() {
    let secret = "a secret of the benches, 32 bytes or more";
    let key = AccessTokenKey::new(
        &SecretString::from(secret),
        Some("https://id.example.com".to_owned()),
        Some("causeway".to_owned()),
    );
    let text = key.sign(&access_claims()).expect("signed");
    let (signed, _) = text.rsplit_once('.').expect("dots");
    let mac_key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mac = hmac::sign(&mac_key, signed.as_bytes());
    let floor = measure(|| {
        hmac::verify(&mac_key, black_box(signed).as_bytes(), mac.as_ref()).expect("genuine");
    });
    let verifying = measure(|| {
        black_box(key.verify(black_box(&text), now()).expect("genuine"));
    });
    println!("\naccess token of {} bytes, HS256", text.len());
    line("  HMAC-SHA256 alone", floor, None, None);
    line("  verify", verifying, Some(floor), Some(TOKEN_LIMIT));
}

fn main() {
    println!(
        "nanoseconds of thread CPU time per call: median and best of {ROUNDS} rounds of {CALLS} calls; the median beside \
         the primitives and the limit"
    );
    [32, 256, 4096].into_iter().for_each(values);
    tokens();
}
