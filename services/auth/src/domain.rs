//! Accounts, sessions and tokens, and their rules. No IO, no clock, no wire types.

mod account;
mod client;
mod device;
mod email;
mod factor;
mod guess;
mod identity;
mod mail;
mod password;
mod person;
mod session;
mod sign_in;
mod token;
mod totp;

pub(crate) use account::{Account, AccountState, Claim, WorkspaceName};
pub(crate) use client::{Client, ClientId, ClientSecret, Grant, MOST_SCOPES, RotationRefused, overlap};
pub(crate) use device::Device;
pub(crate) use email::Email;
pub(crate) use factor::{
    Admission, Factor, FactorStanding, NewFactor, PassedBy, SealedSeed, Tries, recovery_codes, recovery_hash,
};
pub(crate) use guess::{BY_ADDRESS, BY_DEVICE, BY_PAIR, BY_TARGET, Counter, Guesses, MAILS};
pub(crate) use identity::{Identity, Member, Proof, Provider};
pub(crate) use mail::MailPurpose;
pub(crate) use password::{Password, PasswordHash};
pub(crate) use person::{Disabled, Person, Reason};
pub(crate) use session::{NewSession, Opened, RefreshToken, Session, SessionToken, Which};
pub(crate) use sign_in::{SignIn, Trace};
pub(crate) use token::{PersonalToken, Revocation, Scopes, TokenKind, TokenName, Whose, lifetime};
pub(crate) use totp::{Code, Seed, Window};

/// A hash under which a credential is looked up.
pub(crate) type Hash = [u8; 32];

/// What is wrong with a value, for the client; never the value itself.
pub(crate) type Invalid = &'static str;

/// A name for people: 1 to 120 characters, something to see, nothing that breaks a line.
fn name(text: &str) -> Result<String, Invalid> {
    let text = text.trim();
    let length = text.chars().count();
    if !(1..=120).contains(&length) {
        return Err("must have 1 to 120 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters");
    }
    Ok(text.to_owned())
}
