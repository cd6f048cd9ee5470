//! Accounts, sessions and tokens, and their rules. No IO, no clock, no wire types.

mod account;
mod email;
mod identity;
mod password;
mod session;
mod token;

pub(crate) use account::{Account, AccountState, Claim, WorkspaceName};
pub(crate) use email::Email;
pub(crate) use identity::{Identity, Member, Proof, Provider};
pub(crate) use password::{Password, PasswordHash};
pub(crate) use session::{NewSession, RefreshToken, Session, SessionToken};
pub(crate) use token::{PersonalToken, Revocation, Scopes, TokenName, lifetime};

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
