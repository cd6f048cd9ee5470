//! OAuth clients and their secrets.

use std::fmt;
use std::str::FromStr;

use causeway_context::{UserId, WorkspaceId};
use causeway_crypto::{StoredForms, StoredSecret};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Invalid, TokenName};

const ID_PREFIX: &str = "cw_client_";
/// For how long the old secret lives on when nobody says it.
const DEFAULT_OVERLAP: TimeDelta = TimeDelta::hours(24);
const LONGEST_OVERLAP_SECONDS: i64 = 30 * 24 * 60 * 60;
/// Scopes travel in every token of the client, and the token in a header.
pub(crate) const MOST_SCOPES: usize = 100;

/// The id of a client: readable, because people paste it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(pub(crate) Uuid);

impl ClientId {
    /// A new id; it sorts by the time it was made.
    pub(crate) fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ID_PREFIX}{}", self.0.as_simple())
    }
}

impl FromStr for ClientId {
    type Err = Invalid;

    /// Takes the one spelling that is shown.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.strip_prefix(ID_PREFIX).filter(|digits| {
            digits.len() == 32
                && digits
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        let id = digits.and_then(|digits| Uuid::try_parse(digits).ok());
        id.map(Self).ok_or("is not the id of a client")
    }
}

/// A way to get tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grant {
    /// RFC 6749 §4.4.
    ClientCredentials,
    /// RFC 6749 §6.
    RefreshToken,
    /// RFC 8693.
    TokenExchange,
}

impl Grant {
    /// Every one that there is.
    pub(crate) const ALL: [Self; 3] = [Self::ClientCredentials, Self::RefreshToken, Self::TokenExchange];

    /// The word of the protocol.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }

    /// The grant of a word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == word)
    }

    /// The grants of a request, each once; client credentials alone when there are none.
    ///
    /// # Errors
    /// The indexes of those that there are not.
    pub(crate) fn of(asked: &[String]) -> Result<Vec<Self>, Vec<usize>> {
        let unknown = |(index, word): (usize, &String)| Self::parse(word).is_none().then_some(index);
        let unknown: Vec<usize> = asked.iter().enumerate().filter_map(unknown).collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let mut grants: Vec<Self> = asked.iter().filter_map(|word| Self::parse(word)).collect();
        grants.sort_unstable();
        grants.dedup();
        if grants.is_empty() {
            grants.push(Self::ClientCredentials);
        }
        Ok(grants)
    }
}

/// A secret of a client without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientSecret {
    /// The id.
    pub(crate) id: Uuid,
    /// The stored form.
    pub(crate) stored: StoredSecret,
    /// The end of the text.
    pub(crate) last_four: String,
    /// When it was made.
    pub(crate) created_at: DateTime<Utc>,
    /// When it ends, if something ends it.
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

impl ClientSecret {
    fn alive(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// A step of a rotation that cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RotationRefused {
    /// Two secrets are in force already.
    Running,
    /// There is one secret only.
    NotRunning,
}

/// What is kept of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    /// The id.
    pub(crate) id: ClientId,
    /// The workspace it is good for.
    pub(crate) workspace: WorkspaceId,
    /// The name.
    pub(crate) name: TokenName,
    /// What its tokens may do.
    pub(crate) scopes: Vec<String>,
    /// How it may get tokens.
    pub(crate) grants: Vec<Grant>,
    /// Whether it is switched off.
    pub(crate) disabled: bool,
    /// Who granted the scopes, and must still hold them (RBAC-04).
    pub(crate) granted_by: UserId,
    /// When it was made.
    pub(crate) created_at: DateTime<Utc>,
    /// When it was ended.
    pub(crate) deleted_at: Option<DateTime<Utc>>,
    /// Counts the changes: two at once cannot both be made.
    pub(crate) revision: i64,
    /// Its secrets, the oldest first.
    pub(crate) secrets: Vec<ClientSecret>,
}

impl Client {
    /// Whether it may be used.
    pub(crate) fn alive(&self) -> bool {
        !self.disabled && self.deleted_at.is_none()
    }

    /// The secrets in force.
    pub(crate) fn live_secrets(&self, now: DateTime<Utc>) -> impl Iterator<Item = &ClientSecret> {
        self.secrets.iter().filter(move |secret| secret.alive(now))
    }

    /// The secret that a text is, in a time that depends on the number of secrets alone.
    pub(crate) fn matching(&self, forms: &StoredForms, now: DateTime<Utc>) -> Option<&ClientSecret> {
        self.secrets.iter().fold(None, |found, secret| {
            let same = forms.include(&secret.stored) & secret.alive(now);
            if same { Some(secret) } else { found }
        })
    }

    /// Adds a second secret; the first one ends after `overlap`.
    ///
    /// # Errors
    /// [`RotationRefused::Running`].
    pub(crate) fn start_rotation(
        &mut self,
        new: ClientSecret,
        overlap: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<(), RotationRefused> {
        self.secrets.retain(|secret| secret.alive(now));
        if self.secrets.len() > 1 {
            return Err(RotationRefused::Running);
        }
        for old in &mut self.secrets {
            old.expires_at = Some(now + overlap);
        }
        self.secrets.retain(|secret| secret.alive(now));
        self.secrets.push(new);
        Ok(())
    }

    /// Ends the old secret.
    ///
    /// # Errors
    /// [`RotationRefused::NotRunning`].
    pub(crate) fn complete_rotation(&mut self, now: DateTime<Utc>) -> Result<(), RotationRefused> {
        self.two_live(now)?;
        self.secrets.remove(0);
        Ok(())
    }

    /// Ends the new secret; the old one has no end any more.
    ///
    /// # Errors
    /// [`RotationRefused::NotRunning`].
    pub(crate) fn cancel_rotation(&mut self, now: DateTime<Utc>) -> Result<(), RotationRefused> {
        self.two_live(now)?;
        self.secrets.truncate(1);
        for old in &mut self.secrets {
            old.expires_at = None;
        }
        Ok(())
    }

    /// Ends one secret at once. A secret that is left then has no end any more: no rotation runs.
    pub(crate) fn drop_secret(&mut self, id: Uuid, now: DateTime<Utc>) {
        self.secrets.retain(|secret| secret.alive(now) && secret.id != id);
        if let [left] = self.secrets.as_mut_slice() {
            left.expires_at = None;
        }
    }

    fn two_live(&mut self, now: DateTime<Utc>) -> Result<(), RotationRefused> {
        self.secrets.retain(|secret| secret.alive(now));
        match self.secrets.len() {
            2.. => Ok(()),
            _ => Err(RotationRefused::NotRunning),
        }
    }
}

/// How long the old secret lives on.
///
/// # Errors
/// What is wrong with the number of seconds that was asked for.
pub(crate) fn overlap(seconds: Option<i64>) -> Result<TimeDelta, Invalid> {
    match seconds {
        None => Ok(DEFAULT_OVERLAP),
        Some(seconds) if (0..=LONGEST_OVERLAP_SECONDS).contains(&seconds) => Ok(TimeDelta::seconds(seconds)),
        Some(_) => Err("must be 0 to 2592000"),
    }
}

#[cfg(test)]
mod tests {
    use causeway_crypto::Peppers;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    fn forms(text: &str) -> StoredForms {
        Peppers::new(None, None).forms(text)
    }

    fn secret(text: &str) -> ClientSecret {
        ClientSecret {
            id: Uuid::now_v7(),
            stored: forms(text).newest().clone(),
            last_four: text.to_owned(),
            created_at: at(0),
            expires_at: None,
        }
    }

    fn client() -> Client {
        Client {
            id: ClientId::generate(),
            workspace: WorkspaceId::generate(),
            name: TokenName::parse("batch").expect("a name"),
            scopes: Vec::new(),
            grants: vec![Grant::ClientCredentials],
            disabled: false,
            granted_by: UserId::generate(),
            created_at: at(0),
            deleted_at: None,
            revision: 0,
            secrets: vec![secret("old")],
        }
    }

    fn accepted(client: &Client, seconds: i64) -> Vec<&'static str> {
        let known = ["old", "new"].into_iter();
        known
            .filter(|text| client.matching(&forms(text), at(seconds)).is_some())
            .collect()
    }

    fn rotating() -> Client {
        let mut client = client();
        client
            .start_rotation(secret("new"), TimeDelta::seconds(60), at(0))
            .expect("started");
        client
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = ClientId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            id.0.to_string(),
            id.to_string().to_uppercase(),
            format!("{id}0"),
            "cw_client_".to_owned(),
            format!("cw_client_{}", id.0),
        ] {
            assert!(bad.parse::<ClientId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn two_secrets_live_until_the_old_one_expires() {
        let client = rotating();
        assert_eq!(accepted(&client, 59), ["old", "new"]);
        assert_eq!(accepted(&client, 60), ["new"], "its end is enforced (CC-03)");
    }

    #[test]
    fn a_rotation_is_completed_or_cancelled_once() {
        let mut completed = rotating();
        completed.complete_rotation(at(1)).expect("running");
        assert_eq!(accepted(&completed, 1), ["new"]);
        assert_eq!(completed.cancel_rotation(at(1)), Err(RotationRefused::NotRunning));
        let mut cancelled = rotating();
        cancelled.cancel_rotation(at(1)).expect("running");
        assert_eq!(
            accepted(&cancelled, 1_000_000),
            ["old"],
            "the old one has no end any more"
        );
        let mut late = rotating();
        assert_eq!(
            late.complete_rotation(at(60)),
            Err(RotationRefused::NotRunning),
            "the old one ended by itself"
        );
    }

    #[test]
    fn a_secret_that_is_dropped_leaves_the_other_one() {
        for (at_index, left) in [(0, "new"), (1, "old")] {
            let mut client = rotating();
            client.drop_secret(client.secrets[at_index].id, at(1));
            assert_eq!(accepted(&client, 1_000_000), [left]);
            client.drop_secret(client.secrets[0].id, at(1));
            assert_eq!(accepted(&client, 1), Vec::<&str>::new());
            client
                .start_rotation(secret("next"), TimeDelta::zero(), at(1))
                .expect("a client without a secret gets one");
        }
    }

    #[test]
    fn no_third_secret_is_added() {
        let mut client = rotating();
        let again = client.start_rotation(secret("third"), TimeDelta::zero(), at(1));
        assert_eq!(again, Err(RotationRefused::Running));
        client
            .start_rotation(secret("third"), TimeDelta::zero(), at(60))
            .expect("the old one ended");
        assert_eq!(
            accepted(&client, 60),
            Vec::<&str>::new(),
            "without an overlap the old one ends at once"
        );
    }

    #[test]
    fn an_overlap_is_bounded() {
        assert_eq!(overlap(None), Ok(TimeDelta::hours(24)));
        assert_eq!(overlap(Some(0)), Ok(TimeDelta::zero()));
        assert!(overlap(Some(-1)).is_err() && overlap(Some(2_592_001)).is_err());
    }

    #[test]
    fn grants_are_known_words() {
        let words = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
        assert_eq!(Grant::of(&[]), Ok(vec![Grant::ClientCredentials]));
        assert_eq!(
            Grant::of(&words(&["refresh_token", "refresh_token"])),
            Ok(vec![Grant::RefreshToken])
        );
        assert_eq!(
            Grant::of(&words(&["refresh_token", "password", "implicit"])),
            Err(vec![1, 2])
        );
    }
}
