//! Password hashing: argon2id off the async runtime, and never more at once than the machine can do.

mod workers;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use secrecy::ExposeSecret as _;
use subtle::ConstantTimeEq as _;

use self::workers::Workers;
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
    Hash(#[from] argon2::Error),
    /// What is stored is no hash, or a new one could not be written.
    #[error("read or write a password hash")]
    Form(#[from] argon2::password_hash::Error),
    /// There are no random numbers for a salt.
    #[error("make a salt")]
    Salt(#[from] aws_lc_rs::error::Unspecified),
    /// The work did not end.
    #[error("a thread that hashes passwords ended")]
    Ended,
}

/// Makes and compares password hashes.
#[derive(Clone)]
pub(crate) struct Passwords {
    function: Argon2<'static>,
    /// What a password is compared with when there is no account: the same work, never a match.
    nobody: PasswordHash,
    workers: Workers,
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
            workers: Workers::new(at_once, at_once * WAITING_PER_RUNNING),
        }
    }

    /// The hash of a password, with a random salt.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] at once when too many wait already.
    pub(crate) async fn hash(&self, password: Password) -> Result<PasswordHash, PasswordError> {
        let function = self.function.clone();
        let hashed = self.workers.run(move |memory| hash(&function, &password, memory));
        hashed.await?
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
        let verified = self.workers.run(move |memory| verify(&password, &hash, memory));
        Ok(verified.await?? && known)
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

fn hash(
    function: &Argon2<'_>,
    password: &Password,
    memory: &mut Vec<Block>,
) -> Result<PasswordHash, PasswordError> {
    let mut salt = [0; phc::Salt::RECOMMENDED_LENGTH];
    aws_lc_rs::rand::fill(&mut salt)?;
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    fill(function, password, &salt, &mut output, memory)?;
    let hash = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: function.params().try_into()?,
        salt: Some(phc::Salt::new(&salt).map_err(argon2::password_hash::Error::from)?),
        hash: Some(phc::Output::new(&output).map_err(argon2::password_hash::Error::from)?),
    };
    Ok(PasswordHash::new(hash.to_string()))
}

/// By the parameters that the hash says, which may be those of an earlier release.
fn verify(password: &Password, hash: &PasswordHash, memory: &mut Vec<Block>) -> Result<bool, PasswordError> {
    let stored = phc::PasswordHash::new(hash.as_str()).map_err(argon2::password_hash::Error::from)?;
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
        return Err(argon2::password_hash::Error::SaltInvalid.into());
    };
    let version = stored.version.map_or(Ok(Version::V0x13), Version::try_from)?;
    let function = Argon2::new(
        Algorithm::try_from(stored.algorithm.as_str())?,
        version,
        Params::try_from(&stored)?,
    );
    let mut output = vec![0; expected.len()];
    fill(&function, password, salt, &mut output, memory)?;
    Ok(bool::from(output.ct_eq(expected.as_ref())))
}

fn fill(
    function: &Argon2<'_>,
    password: &Password,
    salt: &[u8],
    output: &mut [u8],
    memory: &mut Vec<Block>,
) -> Result<(), argon2::Error> {
    // What lies there from before is overwritten, not read.
    memory.resize(function.params().block_count(), Block::default());
    let password = password.expose().expose_secret().as_bytes();
    function.hash_password_into_with_memory(password, salt, output, memory)
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
            workers: Workers::new(0, 0),
            ..Passwords::cheap()
        };
        let answer = passwords.hash(password("correct horse battery")).await;
        assert!(matches!(answer, Err(PasswordError::Busy)));
    }

    /// What the crate's own function says of ours, and the other way round.
    #[tokio::test]
    async fn hashes_are_those_that_the_crate_makes() {
        use argon2::{PasswordHasher as _, PasswordVerifier as _};
        let passwords = Passwords::cheap();
        let text = "correct horse battery";
        let ours = passwords.hash(password(text)).await.expect("hashed");
        let crates = &passwords.function;
        assert_eq!(crates.verify_password(text.as_bytes(), ours.as_str()), Ok(()));
        let wrong = crates.verify_password(b"correct horse staple", ours.as_str());
        assert_eq!(wrong, Err(argon2::password_hash::Error::PasswordInvalid));
        // Other parameters than ours: those of the hash count.
        let other = Params::new(64, 3, 2, Some(24)).expect("parameters");
        let other = Argon2::new(Algorithm::Argon2id, Version::V0x13, other);
        let theirs = other.hash_password(text.as_bytes()).expect("hashed").to_string();
        let theirs = Some(PasswordHash::new(theirs));
        let verified = passwords.verify(password(text), theirs.clone()).await;
        assert!(verified.expect("compared"));
        let verified = passwords.verify(password("correct horse staple"), theirs).await;
        assert!(!verified.expect("compared"));
    }

    #[tokio::test]
    async fn what_is_stored_and_no_hash_is_an_error() {
        let passwords = Passwords::cheap();
        for text in [
            "",
            "plain",
            "$argon2id$v=19$m=8,t=1,p=1",
            "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let stored = Some(PasswordHash::new(text.to_owned()));
            let verified = passwords.verify(password("correct horse battery"), stored).await;
            assert!(matches!(verified, Err(PasswordError::Form(_))), "{text}");
        }
    }
}
