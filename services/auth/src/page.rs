//! Pages of the token list: a size, and the place where the last page ended in an opaque word.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use causeway_context::TokenId;
use uuid::Uuid;

use crate::domain::Invalid;

const DEFAULT_SIZE: usize = 50;
const LARGEST_SIZE: usize = 1000;

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// At most so many.
    pub(crate) size: usize,
    /// After that token; from the start if there is none.
    pub(crate) after: Option<TokenId>,
}

impl Page {
    /// The page size of a request; more than the largest is the largest (AIP-158).
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn size(wire: i32) -> Result<usize, Invalid> {
        match usize::try_from(wire) {
            Ok(0) => Ok(DEFAULT_SIZE),
            Ok(size) => Ok(size.min(LARGEST_SIZE)),
            Err(_) => Err("must not be negative"),
        }
    }

    /// The place that a page token names; none for an empty one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn place(word: &str) -> Result<Option<TokenId>, Invalid> {
        if word.is_empty() {
            return Ok(None);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(word)
            .ok()
            .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        bytes
            .map(|bytes| Some(TokenId(Uuid::from_bytes(bytes))))
            .ok_or("is not a page token of this list")
    }

    /// The page token that names the place after `last`.
    pub(crate) fn word(last: TokenId) -> String {
        URL_SAFE_NO_PAD.encode(last.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_word() {
        let id = TokenId::generate();
        assert_eq!(Page::place(&Page::word(id)), Ok(Some(id)));
        assert_eq!(Page::place(""), Ok(None));
        assert!(Page::place("no").is_err());
    }

    #[test]
    fn the_size_of_a_page_is_bounded() {
        assert_eq!(Page::size(0), Ok(50));
        assert_eq!(Page::size(1000), Ok(1000));
        assert_eq!(Page::size(1001), Ok(1000));
        assert!(Page::size(-1).is_err());
    }
}
