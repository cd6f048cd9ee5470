//! What it costs to verify an access token: in process beside the bare HMAC of the same run, at the door beside a call
//! that needs no credential, and while as many people log in as the machine has passwords to hash.

mod door;
mod flood;
#[path = "../grants/http.rs"]
mod http;
#[path = "../grants/program.rs"]
mod program;
mod spread;

use std::hint::black_box;

use anyhow::{Context as _, Result};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use causeway_crypto::{AccessClaims, AccessTokenKeys};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::program::{SECRET, cores, load_average};
use crate::spread::{Spread, timed};

/// What a verification may cost at the 99th percentile, in process and at the door.
const IN_PROCESS_MICROS: f64 = 5.0;
const AT_THE_DOOR_MICROS: f64 = 20.0;

#[tokio::main]
async fn main() -> Result<()> {
    println!(
        "access tokens, {} cores, load average before: {}\n",
        cores(),
        load_average()
    );
    in_process()?;
    door::measure().await?;
    flood::measure()
}

/// Keys of one kind, and a token of theirs.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) keys: AccessTokenKeys,
    pub(crate) token: String,
}

impl Kind {
    pub(crate) fn secret() -> Result<Self> {
        Self::of(
            "HS256",
            AccessTokenKeys::new(&SecretString::from(SECRET), None, None),
        )
    }

    pub(crate) fn ed25519() -> Result<Self> {
        let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).context("make a key")?;
        Self::of("EdDSA", private(pair.as_ref())?)
    }

    fn p256() -> Result<Self> {
        let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self::of("ES256", private(pair.context("make a key")?.as_ref())?)
    }

    fn of(name: &'static str, keys: AccessTokenKeys) -> Result<Self> {
        let token = keys.sign(&claims()?).context("sign a token")?;
        Ok(Self { name, keys, token })
    }
}

fn private(der: &[u8]) -> Result<AccessTokenKeys> {
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(der)
    );
    AccessTokenKeys::from_private_key(&pem.into(), None, None).context("read the key")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the door compares the token with the clock"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

fn claims() -> Result<AccessClaims> {
    let (now, id) = (now().timestamp(), Uuid::now_v7());
    let claims = json!({
        "sub": id, "exp": now + 900, "nbf": now, "iat": now, "jti": id, "sid": id, "workspace_id": id,
        "roles": ["owner"], "scope": "", "mfa": false,
    });
    Ok(serde_json::from_value(claims)?)
}

/// One call at a time, each with the clock on it: the clock itself costs some 30 ns of what is shown.
fn in_process() -> Result<()> {
    let kinds = [Kind::secret()?, Kind::ed25519()?, Kind::p256()?];
    let (signed, _) = kinds[0].token.rsplit_once('.').context("a token has parts")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let mac = hmac::sign(&key, signed.as_bytes());
    let floor = timed(200_000, || {
        black_box(hmac::verify(&key, black_box(signed.as_bytes()), mac.as_ref()).is_ok());
    });
    println!("in process, a token of {} bytes:\n", kinds[0].token.len());
    println!("| | p50 µs | p99 µs | p99.9 µs | p50 beside HMAC-SHA256 |");
    println!("|---|---:|---:|---:|---:|");
    println!("{}", floor.row("HMAC-SHA256 alone", &floor));
    let now = now();
    for kind in &kinds {
        let calls = if kind.name == "HS256" { 200_000 } else { 20_000 };
        let seen = timed(calls, || {
            black_box(kind.keys.verify(black_box(&kind.token), now).is_ok());
        });
        println!("{}", seen.row(&format!("verify, {}", kind.name), &floor));
        if kind.name == "HS256" {
            verdict("in process, p99", seen.at(99.0), IN_PROCESS_MICROS);
        }
    }
    Ok(())
}

/// Says whether a limit is kept, in a line of its own for who looks for it.
pub(crate) fn verdict(what: &str, micros: f64, limit: f64) {
    let kept = if micros <= limit { "within" } else { "ABOVE" };
    eprintln!("{what}: {micros:.2} µs, {kept} {limit:.0}");
}

/// What the door's own limit is.
pub(crate) fn at_the_door(added: f64, kind: &str) {
    verdict(
        &format!("added at the door, p99, {kind}, warm"),
        added,
        AT_THE_DOOR_MICROS,
    );
}

/// What a spread adds to another one at a percentile.
pub(crate) fn added(with: &Spread, without: &Spread, part: f64) -> f64 {
    with.at(part) - without.at(part)
}
