//! Our decision beside that of Cedar policies (RBAC-02): roles that are built in, custom and unknown, permissions that do
//! not exist, other workspaces, second factors, narrowed credentials. The policies are in `tests/clients/cedar`; they
//! take from us only the matrix that people reviewed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::{CATALOGUE, CallerKind, Idempotency, METHODS, Method, PermissionSet, Rule};
use causeway_crypto::AccessClaims;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Caller;
use crate::door::authenticate::{agree, of_claims};
use crate::door::machine::{Standing, narrowed};

const REQUESTS: usize = 100_000;
/// What `scripts/clients.sh run` exits with when the oracle is not installed.
const NOT_INSTALLED: i32 = 69;

/// Numbers that look random and are the same each time (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).unwrap_or_default() % end
    }

    fn once_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// About half of the permissions, the one that is asked for more often, and sometimes names of nothing.
    fn permissions(&mut self, asked: &'static str) -> Vec<&'static str> {
        let mut names: Vec<&str> = CATALOGUE.iter().map(|entry| entry.name).collect();
        names.retain(|name| self.once_in(2) || (*name == asked && !self.once_in(3)));
        if self.once_in(3) {
            names.extend(["made.up", "owner"]);
        }
        names
    }
}

/// One request: what we decide, and what the oracle is asked.
struct Asked {
    allowed: bool,
    question: Value,
}

fn asked_for(method: &Method) -> &'static str {
    match method.rule {
        Rule::Permission { name, .. } => name,
        Rule::Public | Rule::Authenticated | Rule::Internal => "any",
    }
}

/// The bits of those permissions as a newer release might write them: some of ids that nobody knows here.
fn bits(dice: &mut Dice, names: &[&str]) -> String {
    let mut bytes = names.iter().collect::<PermissionSet>().to_bytes();
    if dice.once_in(2) {
        bytes.resize(16, 0);
        bytes[15] |= 0xF0;
        bytes[0] |= 1;
    }
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes)
}

fn request(dice: &mut Dice, methods: &[&'static Method]) -> Asked {
    let method = *dice.of(methods);
    let asked = asked_for(method);
    let home = WorkspaceId::generate();
    let named = match dice.once_in(10) {
        true => WorkspaceId::generate(),
        false => home,
    };
    let granted = dice.permissions(asked);
    let scopes = match dice.once_in(3) {
        true => dice.permissions(asked),
        false => Vec::new(),
    };
    let flags = [2; 3].map(|many| dice.once_in(many));
    let (role, caller) = match dice.below(4) {
        0 => ("custom", of_a_machine(dice, home, &granted, &scopes, flags)),
        _ => of_a_session(dice, home, &granted, &scopes, flags),
    };
    let mut headers = HeaderMap::new();
    if named != home || dice.once_in(2) {
        let value = HeaderValue::from_str(&named.to_string()).expect("an id");
        headers.insert("x-tenant-id", value);
    }
    let kind = caller.kind;
    let by_machine = role == "custom" && caller.roles.is_empty();
    let person = matches!(kind, CallerKind::User | CallerKind::Token);
    let allowed = agree(&headers, caller, false)
        .and_then(|caller| caller.authorize(method))
        .is_ok();
    let kinds: Vec<&str> = method.callers.iter().map(|kind| kind.as_str()).collect();
    let context = json!({
        "asked": asked, "granted": granted, "home": home, "named": named, "kind": kind.as_str(), "callers": kinds,
        "scoped": by_machine || !scopes.is_empty(), "scopes": scopes, "person": person, "passed": flags[0],
        "demanded": flags[1], "enrolled": flags[2], "marked": method.mfa, "without_mfa": method.without_mfa,
        "effects": method.idempotency != Idempotency::NoSideEffects,
    });
    Asked {
        allowed,
        question: json!({"role": role, "rpc": method.name, "context": context}),
    }
}

/// An access token of a session, through all that the door does with it.
fn of_a_session(
    dice: &mut Dice,
    home: WorkspaceId,
    granted: &[&str],
    scopes: &[&str],
    [mfa, required, enrolled]: [bool; 3],
) -> (&'static str, Caller) {
    let role = *dice.of(&[
        "viewer",
        "editor",
        "admin",
        "owner",
        "custom",
        "custom",
        "superuser",
    ]);
    let word = match role {
        "custom" => Uuid::now_v7().to_string(),
        word => word.to_owned(),
    };
    let mut claims = json!({
        "sub": UserId::generate(), "exp": 1, "nbf": 0, "iat": 0, "jti": "j", "sid": Uuid::now_v7(),
        "workspace_id": home, "roles": [word], "scope": scopes.join(" "), "mfa": mfa, "mfa_required": required,
        "mfa_enrolled": enrolled,
    });
    if role == "custom" {
        claims["perm"] = bits(dice, granted).into();
    }
    let claims: AccessClaims = serde_json::from_value(claims).expect("claims");
    (role, of_claims(&claims).expect("a caller"))
}

/// An access token that hangs on a machine's credential, which holds `granted` now.
fn of_a_machine(
    dice: &mut Dice,
    home: WorkspaceId,
    granted: &[&str],
    scopes: &[&str],
    [mfa, mfa_required, mfa_enrolled]: [bool; 3],
) -> Caller {
    let caller = Caller {
        kind: *dice.of(&[CallerKind::Client, CallerKind::Token]),
        id: "c".to_owned(),
        workspace: Some(home),
        permissions: granted.iter().collect(),
        mfa,
        mfa_required,
        mfa_enrolled,
        ..Caller::anonymous()
    };
    let standing = Standing {
        caller: Some(caller),
        revoked: Vec::new(),
    };
    let claims = json!({
        "sub": "c", "exp": 1, "nbf": 0, "iat": 0, "jti": "j", "workspace_id": home, "roles": [],
        "scope": scopes.join(" "), "mfa": false, "client_id": "c",
    });
    let claims: AccessClaims = serde_json::from_value(claims).expect("claims");
    narrowed(&standing, &claims).expect("in force")
}

/// What the oracle says to the questions; nothing where it is not installed and nobody said that it must be.
fn oracle(questions: String) -> Option<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/clients.sh");
    let mut child = Command::new("bash")
        .args([script, "run", "cedar"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash runs");
    let mut pipe = child.stdin.take().expect("a pipe");
    // It ends early where the oracle is not installed: what it prints says so.
    let writes = std::thread::spawn(move || drop(pipe.write_all(questions.as_bytes())));
    let output = child.wait_with_output().expect("it ends");
    writes.join().expect("written");
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
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[test]
fn cedar_decides_a_hundred_thousand_requests_as_we_do() {
    let methods: Vec<&Method> = METHODS
        .iter()
        .filter(|method| method.rule != Rule::Public)
        .collect();
    let mut dice = Dice(0x00C0_FFEE_D00D);
    let asked: Vec<Asked> = (0..REQUESTS).map(|_| request(&mut dice, &methods)).collect();
    let questions: String = asked.iter().map(|one| format!("{}\n", one.question)).collect();
    let Some(answers) = oracle(questions) else { return };
    assert_eq!(answers.len(), REQUESTS);
    for (one, answer) in asked.iter().zip(answers.chars()) {
        assert_eq!(one.allowed, answer == '1', "{}", one.question);
    }
    let allowed = asked.iter().filter(|one| one.allowed).count();
    println!("{allowed} of {REQUESTS} allowed, by both");
    assert!(
        allowed > REQUESTS / 10 && allowed < REQUESTS * 9 / 10,
        "{allowed}"
    );
}
