//! What an access token says.

use serde::{Deserialize, Serialize};

use super::compact::read_claims;
use super::{Reason, Span};

/// What an access token says (RFC 9068).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who issued it, when an issuer is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// For whom, when an audience is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
    /// The person.
    pub sub: String,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// When it begins.
    pub nbf: i64,
    /// When it was issued.
    pub iat: i64,
    /// Its own id.
    pub jti: String,
    /// The session it belongs to; empty for a token that a machine's credential gave.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sid: String,
    /// The workspace it is good for.
    pub workspace_id: String,
    /// The person's roles there.
    pub roles: Vec<String>,
    /// What a custom role among them holds, as the bits of permission ids in base64url (RBAC-03). Built-in roles need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perm: Option<String>,
    /// Permissions, separated by blanks, to which it is narrowed; empty narrows nothing.
    pub scope: String,
    /// Whether a second factor was passed.
    pub mfa: bool,
    /// Whether the workspace demands one of persons for everything that has effects (MFA-07).
    #[serde(default, skip_serializing_if = "is_false")]
    pub mfa_required: bool,
    /// Whether the person has one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mfa_enrolled: bool,
    /// Who really acts, where somebody acts in the name of the person (RFC 8693 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    /// The machine's credential that gave it: an OAuth client, or the opaque token that was exchanged. Then `scope` is
    /// all that it may do, and it is worth no more than that credential is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// What is usual is not written: tokens go with every request.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Who acts in the name of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Who knows the actor by that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The actor.
    pub sub: String,
}

impl AccessClaims {
    /// The claims of a token whose signature was verified.
    pub(super) fn read(json: &[u8]) -> Result<Self, Reason> {
        let text = str::from_utf8(json).map_err(|_| Reason::Claims)?;
        own_spelling(text).map_or_else(|| read_claims(json), Ok)
    }

    pub(super) const fn span(&self) -> Span {
        Span {
            issued: self.iat,
            from: self.nbf,
            until: self.exp,
        }
    }
}

/// The claims of nearly every token: in the order and the spelling in which we sign them. The general way reads the JSON
/// twice, because of repeated members, and this spelling has none; what is spelt otherwise, and who acts for somebody,
/// goes the general way.
pub(super) fn own_spelling(text: &str) -> Option<AccessClaims> {
    let mut rest = Rest(text);
    rest.skip("{")?;
    let claims = AccessClaims {
        iss: rest.leading("\"iss\":\"")?,
        aud: rest.leading("\"aud\":\"")?,
        sub: rest.text("\"sub\":\"")?,
        exp: rest.number(",\"exp\":")?,
        nbf: rest.number(",\"nbf\":")?,
        iat: rest.number(",\"iat\":")?,
        jti: rest.text(",\"jti\":\"")?,
        sid: rest.optional(",\"sid\":\"")?.unwrap_or_default(),
        workspace_id: rest.text(",\"workspace_id\":\"")?,
        roles: rest.texts(",\"roles\":[")?,
        perm: rest.optional(",\"perm\":\"")?,
        scope: rest.text(",\"scope\":\"")?,
        mfa: rest.boolean(",\"mfa\":")?,
        mfa_required: rest.skip(",\"mfa_required\":true").is_some(),
        mfa_enrolled: rest.skip(",\"mfa_enrolled\":true").is_some(),
        act: None,
        client_id: rest.optional(",\"client_id\":\"")?,
    };
    (rest.0 == "}").then_some(claims)
}

/// What is still to be read. Each step takes a member, or nothing can be said of the text.
struct Rest<'t>(&'t str);

impl Rest<'_> {
    fn skip(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    /// A text without escapes, after `name` and up to its closing quote.
    fn text(&mut self, name: &str) -> Option<String> {
        self.skip(name)?;
        let (text, rest) = self.0.split_once('"')?;
        // Not `all`: without a way out in the middle, the compiler looks at many bytes at once.
        let plain = text
            .bytes()
            .fold(true, |plain, byte| plain & (byte != b'\\') & (byte >= b' '));
        self.0 = rest;
        plain.then(|| text.to_owned())
    }

    /// A text that may be absent.
    fn optional(&mut self, name: &str) -> Option<Option<String>> {
        if self.0.starts_with(name) {
            return self.text(name).map(Some);
        }
        Some(None)
    }

    /// A text that may be absent, and the comma after it.
    fn leading(&mut self, name: &str) -> Option<Option<String>> {
        let text = self.optional(name)?;
        if text.is_some() {
            self.skip(",")?;
        }
        Some(text)
    }

    fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        self.skip(name)?;
        let mut texts = Vec::new();
        if self.skip("]").is_some() {
            return Some(texts);
        }
        loop {
            texts.push(self.text("\"")?);
            if self.skip(",").is_none() {
                return self.skip("]").map(|()| texts);
            }
        }
    }

    /// A whole number above zero: times are.
    fn number(&mut self, name: &str) -> Option<i64> {
        self.skip(name)?;
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        (!digits.starts_with('0')).then(|| digits.parse().ok())?
    }

    fn boolean(&mut self, name: &str) -> Option<bool> {
        self.skip(name)?;
        if self.skip("true").is_some() {
            return Some(true);
        }
        self.skip("false").map(|()| false)
    }
}
