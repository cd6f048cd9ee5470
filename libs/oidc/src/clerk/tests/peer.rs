//! Clerk's own verifier, `@clerk/backend`, as a judge: what it accepts of what Clerk makes we accept, whatever it rejects we
//! reject. Where we are stricter the row says so, and why it may be.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

/// What `scripts/clients.sh run` exits with when the judge is not installed.
const NOT_INSTALLED: i32 = 69;

/// What we do with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ours {
    /// Accept it, as Clerk does.
    Accept,
    /// Refuse it; Clerk may do what it likes, but never accept it unless it is [`Ours::Stricter`].
    Refuse,
    /// Refuse it though Clerk accepts it.
    Stricter,
}
use Ours::{Accept, Refuse, Stricter};

struct Corpus {
    world: World,
    rows: Vec<(String, String, Ours)>,
}

impl Corpus {
    fn token(&mut self, name: &str, token: String, ours: Ours) {
        self.rows.push((name.to_owned(), token, ours));
    }

    fn claims(&mut self, name: &str, changes: Value, ours: Ours) {
        let token = self.world.key.token(&self.world.with(changes));
        self.token(name, token, ours);
    }

    fn without(&mut self, name: &str, ours: Ours) {
        let token = self.world.key.token(&self.world.without(name));
        self.token(&format!("no {name}"), token, ours);
    }

    fn header(&mut self, name: &str, changes: Value, ours: Ours) {
        let mut header = json!({"alg": "RS256", "typ": "JWT", "kid": "ins_1"});
        for (member, value) in changes.as_object().expect("an object") {
            header[member.as_str()] = value.clone();
        }
        let token = self.world.forge(&header);
        self.token(name, token, ours);
    }

    /// A number in a spelling that no JSON library writes.
    fn number(&mut self, member: &str, spelling: &str, ours: Ours) {
        let claims = self.world.with(json!({member: "HERE"})).to_string();
        let claims = claims.replace("\"HERE\"", spelling);
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "ins_1"}).to_string();
        let token = self.world.key.sign(&header, &claims);
        self.token(&format!("{member} {spelling}"), token, ours);
    }

    /// Sessions as Clerk makes them (B-AUTH-2).
    fn genuine(&mut self) {
        let issuer = self.world.issuer.url();
        self.claims("version 2", json!({}), Accept);
        self.claims("version 2 without an organization", json!({"o": null}), Accept);
        self.claims(
            "an agent acts",
            json!({"act": {"sub": "user_2", "iss": "https://dashboard.clerk.com"}}),
            Accept,
        );
        self.claims("a second factor", json!({"fva": [0, 0]}), Accept);
        let first = json!({
            "azp": PARTY, "exp": NOW + 60, "iat": NOW, "iss": issuer, "nbf": NOW - 10, "sid": "sess_1", "sub": "user_1",
        });
        let token = self.world.key.token(&first);
        self.token("version 1", token, Accept);
        let mut first = first;
        first["org_id"] = json!("org_1");
        first["org_role"] = json!("org:admin");
        first["org_slug"] = json!("acme");
        first["org_permissions"] = json!(["org:sys_profile:manage"]);
        let token = self.world.key.token(&first);
        self.token("version 1 with an organization", token, Accept);
        self.claims(
            "just before its end",
            json!({"iat": NOW - 60, "exp": NOW - 4}),
            Accept,
        );
        self.claims(
            "a clock five seconds ahead",
            json!({"iat": NOW + 5, "nbf": NOW + 5}),
            Accept,
        );
        self.claims(
            "another frontend of the list",
            json!({"azp": "http://localhost:3000"}),
            Accept,
        );
        self.claims(
            "further claims of a template",
            json!({"email": "a@b.example", "meta": {"plan": [1, 2.5]}}),
            Accept,
        );
    }

    /// JWT-01, EXC-01.
    fn algorithms(&mut self) {
        for alg in [
            "none", "noNE", "rs256", "HS256", "PS256", "ES256", "EdDSA", "RS384", "RS512", "",
        ] {
            self.header(&format!("alg {alg}"), json!({ "alg": alg }), Refuse);
        }
        let pem = self.world.key.public_pem();
        for alg in ["HS256", "RS256"] {
            let header = json!({"alg": alg, "typ": "JWT", "kid": "ins_1"}).to_string();
            let signed = format!(
                "{}.{}",
                URL_SAFE_NO_PAD.encode(header),
                URL_SAFE_NO_PAD.encode(self.world.claims().to_string())
            );
            let mac = hmac::sign(
                &hmac::Key::new(hmac::HMAC_SHA256, pem.as_bytes()),
                signed.as_bytes(),
            );
            let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac));
            self.token(&format!("the PEM as a secret, {alg}"), token, Refuse);
        }
        let other = SigningKey::generate("ins_1");
        let token = other.token(&self.world.claims());
        self.token("another instance's key of the same name", token, Refuse);
    }

    /// JWT-02, JWT-03, JWT-06. Clerk looks at `alg` and `typ` alone, and with a PEM at no name of a key.
    fn headers(&mut self) {
        for (member, value) in [
            ("crit", json!(["exp"])),
            ("jku", json!("https://evil.example/jwks")),
            ("jwk", json!({"kty": "oct", "k": "AAAA"})),
            ("x5u", json!("https://evil.example/cert")),
            ("x5c", json!(["MII"])),
        ] {
            self.header(member, json!({ member: value }), Stricter);
        }
        for kid in ["../../etc/passwd", "' OR 1=1 --", "", &"i".repeat(65)] {
            self.header(&format!("kid {kid}"), json!({ "kid": kid }), Stricter);
        }
        for typ in ["at+jwt", "svc+jwt", "mfa+jwt", "jwt", "application/JWT"] {
            self.header(&format!("typ {typ}"), json!({ "typ": typ }), Refuse);
        }
    }

    /// EXC-02, EXC-03, JWT-07, JWT-09, JWT-11.
    fn forged_claims(&mut self) {
        self.claims(
            "another issuer",
            json!({"iss": "https://clerk.evil.example"}),
            Stricter,
        );
        self.without("iss", Stricter);
        self.claims("another frontend", json!({"azp": "https://evil.example"}), Refuse);
        self.claims(
            "a frontend with a slash",
            json!({"azp": format!("{PARTY}/")}),
            Refuse,
        );
        self.without("azp", Refuse);
        self.claims("pending", json!({"sts": "pending"}), Stricter);
        self.claims("an unknown state", json!({"sts": "revoked"}), Stricter);
        self.claims("an unknown version", json!({"v": 3}), Stricter);
        self.claims("nobody", json!({"sub": ""}), Stricter);
        self.without("sub", Refuse);
        self.without("exp", Refuse);
        self.claims("expired", json!({"iat": NOW - 60, "exp": NOW - 5}), Refuse);
        self.claims(
            "long expired",
            json!({"iat": NOW - 7200, "exp": NOW - 3600}),
            Refuse,
        );
        self.claims("not yet", json!({"nbf": NOW + 6}), Refuse);
        self.claims("issued in the future", json!({"iat": NOW + 6}), Refuse);
        self.claims("years of life", json!({"exp": NOW + 315_360_000}), Stricter);
        self.claims(
            "ends before it begins",
            json!({"iat": NOW + 4, "exp": NOW + 3}),
            Stricter,
        );
        for (member, value) in [
            ("exp", json!("1800000060")),
            ("exp", json!(null)),
            ("sub", json!(["user_1"])),
            ("azp", json!([PARTY])),
            ("azp", json!({})),
        ] {
            self.claims(&format!("{member} as {value}"), json!({ member: value }), Refuse);
        }
        for (member, value) in [
            ("iss", json!(["x"])),
            ("sid", json!(7)),
            ("sts", json!(true)),
            ("jti", json!({})),
        ] {
            self.claims(
                &format!("{member} as {value}"),
                json!({ member: value }),
                Stricter,
            );
        }
        for (spelling, ours) in [
            ("1.80000006e9", Stricter),
            ("1800000060.0", Stricter),
            ("18446744073709551616", Stricter),
            ("-1", Refuse),
            ("01800000060", Refuse),
            ("0x6b49d23c", Refuse),
        ] {
            self.number("exp", spelling, ours);
        }
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "ins_1"}).to_string();
        let twice = self
            .world
            .claims()
            .to_string()
            .replacen('{', "{\"sub\":\"user_0\",", 1);
        let token = self.world.key.sign(&header, &twice);
        self.token("two subjects", token, Stricter);
        let token = self.world.key.sign(
            &header.replacen('{', "{\"alg\":\"none\",", 1),
            &self.world.claims().to_string(),
        );
        self.token("two algorithms", token, Stricter);
    }

    /// JWT-04.
    fn spellings(&mut self) {
        let token = self.world.key.token(&self.world.claims());
        let parts: Vec<&str> = token.split('.').collect();
        let json = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
        let large = self
            .world
            .key
            .token(&self.world.with(json!({"x": "x".repeat(8192)})));
        for (name, text, ours) in [
            ("padded", format!("{token}="), Stricter),
            ("stray bits", with_stray_bits(&token), Refuse),
            ("oversized", large, Stricter),
            ("JSON", json.to_string(), Refuse),
            ("two parts", format!("{}.{}", parts[0], parts[1]), Refuse),
            ("four parts", format!("{token}.{}", parts[2]), Refuse),
            ("no signature", format!("{}.{}.", parts[0], parts[1]), Refuse),
            ("a cut signature", token[..token.len() - 2].to_owned(), Refuse),
            ("nothing", String::new(), Refuse),
        ] {
            self.token(name, text, ours);
        }
    }
}

/// What Clerk says of each; nothing if it is not installed and nobody said that it must be.
fn judged(corpus: &Corpus) -> Option<BTreeMap<String, String>> {
    let tokens: BTreeMap<_, _> = corpus.rows.iter().map(|(name, token, _)| (name, token)).collect();
    assert_eq!(tokens.len(), corpus.rows.len(), "every row has a name of its own");
    let question = json!({
        "now": NOW, "pem": corpus.world.key.public_pem(), "tokens": tokens,
        "parties": ["http://localhost:3000", PARTY],
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/clients.sh");
    let mut judge = Command::new("bash")
        .args([script, "run", "clerk"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash runs");
    // A judge that is not installed ends without reading.
    let _ = judge
        .stdin
        .take()
        .expect("piped")
        .write_all(question.to_string().as_bytes());
    let output = judge.wait_with_output().expect("it ends");
    let complaints = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(NOT_INSTALLED) {
        assert!(
            std::env::var_os("CAUSEWAY_TEST_CLIENTS").is_none(),
            "{complaints}"
        );
        eprintln!("skipped: {complaints}");
        return None;
    }
    assert!(output.status.success(), "{complaints}");
    Some(serde_json::from_slice(&output.stdout).expect("an object"))
}

#[tokio::test]
async fn what_clerk_accepts_we_accept_and_whatever_clerk_rejects_we_reject() {
    let mut corpus = Corpus {
        world: world().await,
        rows: Vec::new(),
    };
    corpus.genuine();
    corpus.algorithms();
    corpus.headers();
    corpus.forged_claims();
    corpus.spellings();
    for (name, token, ours) in &corpus.rows {
        let verdict = corpus.world.verify(token).await;
        assert_eq!(verdict.is_ok(), *ours == Accept, "ours, {name}: {verdict:?}");
    }
    let Some(theirs) = judged(&corpus) else { return };
    for (name, _, ours) in &corpus.rows {
        let accepted = theirs[name] == "accepted";
        let expected = *ours != Refuse;
        assert_eq!(accepted, expected, "Clerk's, {name}: {}", theirs[name]);
    }
}
