//! The claims of both versions of Clerk's session tokens.

use causeway_crypto::Actor;
use chrono::DateTime;
use serde::Deserialize;

use super::{Cause, ClerkSession, Organization, VerifyError};

/// The longest id of a person that is kept.
pub(crate) const MAX_ID_BYTES: usize = 255;

#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    sub: String,
    pub(super) exp: i64,
    pub(super) nbf: Option<i64>,
    pub(super) iat: Option<i64>,
    pub(super) azp: Option<String>,
    aud: Option<Audience>,
    pub(super) sts: Option<String>,
    v: Option<i64>,
    sid: Option<String>,
    jti: Option<String>,
    act: Option<Actor>,
    /// Minutes since the first and the second factor were passed; -1 for never.
    fva: Option<(i64, i64)>,
    o: Option<Active>,
    org_id: Option<String>,
    org_role: Option<String>,
}

/// For whom a token is.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    /// One.
    One(String),
    /// Several, or one in a list.
    Many(Vec<String>),
}

impl Audience {
    /// Whether it is for that one.
    pub(crate) fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }

    /// For how many it is.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(many) => many.len(),
        }
    }
}

/// The organization in a token of version 2.
#[derive(Deserialize)]
struct Active {
    id: String,
    rol: Option<String>,
}

#[derive(Clone, Copy)]
pub(super) enum Version {
    One,
    Two,
}

impl Claims {
    /// The version, if it is one that is understood. Version 1 does not say it.
    pub(super) fn version(&self) -> Option<Version> {
        match self.v {
            None | Some(1) => Some(Version::One),
            Some(2) => Some(Version::Two),
            Some(_) => None,
        }
    }

    pub(super) fn is_for(&self, audience: &str) -> bool {
        self.aud.as_ref().is_some_and(|aud| aud.names(audience))
    }

    /// Whether somebody acts in the name of the person.
    pub(super) const fn is_by_another(&self) -> bool {
        self.act.is_some()
    }

    /// What the claims say, once all else of them was checked.
    pub(super) fn session(self, version: Version, party: String) -> Result<ClerkSession, VerifyError> {
        let has_id = (1..=MAX_ID_BYTES).contains(&self.sub.len());
        let named = self
            .act
            .as_ref()
            .is_none_or(|actor| (1..=MAX_ID_BYTES).contains(&actor.sub.len()));
        let expires_at = DateTime::from_timestamp(self.exp, 0).filter(|_| has_id && named);
        let organization = match version {
            Version::One => self.org_id.map(|id| (id, self.org_role)),
            Version::Two => self.o.map(|active| (active.id, active.rol)),
        };
        Ok(ClerkSession {
            issuer: self.iss,
            subject: self.sub,
            session: self.sid,
            party,
            token: self.jti,
            expires_at: expires_at.ok_or(Cause::Claims)?,
            actor: self.act,
            organization: organization.map(|(id, role)| Organization {
                id,
                role: role.map(|role| role.trim_start_matches("org:").to_owned()),
            }),
            second_factor: self.fva.is_some_and(|(_, second)| second >= 0),
        })
    }
}
