//! Password hashing: argon2id, off the async runtime, and never more at once than the machine can do.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;

use crate::domain::{Password, PasswordHash};

/// How many hashes may wait for one that runs. At some 20 ms each, the last waits a fifth of a second.
const WAITING_PER_RUNNING: usize = 8;

/// A hash that was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// More are asked for than the machine can do soon.
    #[error("too many passwords are being checked")]
    Busy,
    /// The hash function refused.
    #[error("hash a password")]
    Hash(#[from] argon2::password_hash::Error),
    /// The work did not end.
    #[error("run the hash function")]
    Run(#[from] tokio::task::JoinError),
}

/// Makes and compares password hashes.
#[derive(Clone)]
pub(crate) struct Passwords {
    function: Argon2<'static>,
    /// What a password is compared with when there is no account: the same work, never a match.
    nobody: PasswordHash,
    admission: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Passwords {
    /// OWASP's second choice of parameters: 19 MiB, two passes, one lane; as many at once as there are processors.
    pub(crate) fn new() -> Self {
        let at_once = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with(Params::DEFAULT, at_once)
    }

    /// The cheapest parameters, for tests.
    #[cfg(test)]
    pub(crate) fn cheap() -> Self {
        Self::with(Params::new(8, 1, 1, None).expect("the least that is allowed"), 2)
    }

    fn with(params: Params, at_once: usize) -> Self {
        let nobody = PasswordHash::new(format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            params.m_cost(),
            params.t_cost(),
            params.p_cost(),
            "A".repeat(22),
            "A".repeat(43),
        ));
        Self {
            function: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            nobody,
            admission: Arc::new(Semaphore::new(at_once * (1 + WAITING_PER_RUNNING))),
            running: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// The hash of a password, with a random salt.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] at once when too many wait already.
    pub(crate) async fn hash(&self, password: Password) -> Result<PasswordHash, PasswordError> {
        let hash =
            self.run(move |function| function.hash_password(password.expose().expose_secret().as_bytes()));
        Ok(PasswordHash::new(hash.await??.to_string()))
    }

    /// Whether a password is the one of `hash`. Without a hash it is not, after the same work.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] at once when too many wait already.
    pub(crate) async fn verify(
        &self,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<bool, PasswordError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.clone());
        let verified = self.run(move |function| {
            function.verify_password(password.expose().expose_secret().as_bytes(), hash.as_str())
        });
        match verified.await? {
            Ok(()) => Ok(known),
            Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The permits move into the work: a caller who gives up does not make room for another before the work ends.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let admitted = Arc::clone(&self.admission)
            .try_acquire_owned()
            .map_err(|_| PasswordError::Busy)?;
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| PasswordError::Busy)?;
        let function = self.function.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _permits = (admitted, running);
            work(&function)
        });
        Ok(task.await?)
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::choose(text.to_owned()).expect("long enough")
    }

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let passwords = Passwords::cheap();
        let hash = passwords
            .hash(password("correct horse battery"))
            .await
            .expect("hashed");
        let verify = |text: &str, hash: Option<PasswordHash>| passwords.verify(password(text), hash);
        assert!(
            verify("correct horse battery", Some(hash.clone()))
                .await
                .expect("compared")
        );
        assert!(
            !verify("correct horse staple", Some(hash))
                .await
                .expect("compared")
        );
        assert!(!verify("correct horse battery", None).await.expect("compared"));
    }

    #[test]
    fn the_parameters_are_owasps() {
        let passwords = Passwords::new();
        assert!(
            passwords
                .nobody
                .as_str()
                .starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
        );
    }

    #[tokio::test]
    async fn too_many_at_once_are_told_so_at_once() {
        let passwords = Passwords {
            admission: Arc::new(Semaphore::new(0)),
            ..Passwords::cheap()
        };
        let answer = passwords.hash(password("correct horse battery")).await;
        assert!(matches!(answer, Err(PasswordError::Busy)));
    }
}
