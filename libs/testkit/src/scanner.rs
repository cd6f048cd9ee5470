//! Somebody who signs what they found, as GitHub's secret scanning does, and publishes the keys.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{Answer, ScriptedUpstream};

/// A key on P-256 that signs reports.
pub struct ScannerKey {
    /// Its id.
    pub id: String,
    pair: EcdsaKeyPair,
}

impl ScannerKey {
    /// A new key under that id.
    ///
    /// # Panics
    /// Without randomness.
    pub fn generate(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key"),
        }
    }

    /// The signature over a report, in base64.
    ///
    /// # Panics
    /// Without randomness.
    pub fn sign(&self, report: &str) -> String {
        let signature = self.pair.sign(&SystemRandom::new(), report.as_bytes());
        STANDARD.encode(signature.expect("signed").as_ref())
    }

    fn entry(&self) -> Value {
        let der = self.pair.public_key().as_der().expect("an encoding");
        let text = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        json!({"key_identifier": self.id, "key": pem, "is_current": true})
    }
}

/// The document that publishes keys.
pub fn published_keys(keys: &[&ScannerKey]) -> Value {
    let entries: Vec<Value> = keys.iter().map(|key| key.entry()).collect();
    json!({"public_keys": entries})
}

/// A scanner with one key, which it publishes.
pub struct Scanner {
    /// What it signs with.
    pub key: ScannerKey,
    /// Where it publishes.
    pub server: ScriptedUpstream,
}

impl Scanner {
    /// Starts one.
    pub async fn start() -> Self {
        let (key, server) = (ScannerKey::generate("one"), ScriptedUpstream::start().await);
        server.otherwise(Answer::json(200, published_keys(&[&key])));
        Self { key, server }
    }

    /// Where the keys are.
    pub fn keys_url(&self) -> String {
        format!("{}/meta/public_keys/secret_scanning", self.server.base_url())
    }
}
