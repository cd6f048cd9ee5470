//! Pages of lists: a size, and the place where the last page ended in an opaque word.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::domain::{Invalid, KeyPlace, Ring, SecretName};

const DEFAULT_SIZE: usize = 50;
const LARGEST_SIZE: usize = 1000;

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<P> {
    /// At most so many.
    pub size: usize,
    /// After that place; from the start if there is none.
    pub after: Option<P>,
}

/// A place in a list that is ordered by time and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimePlace {
    /// The time.
    pub at: DateTime<Utc>,
    /// Orders what has the same time.
    pub id: Uuid,
}

/// A place in a list, as it is spelled in page tokens.
pub(crate) trait Place: Sized {
    /// The spelling; the first letter differs between kinds of places.
    fn spell(&self) -> String;

    /// The place of that spelling.
    fn read(text: &str) -> Option<Self>;
}

impl Place for TimePlace {
    fn spell(&self) -> String {
        format!("t{}.{}", self.at.timestamp_micros(), self.id.simple())
    }

    fn read(text: &str) -> Option<Self> {
        let (micros, id) = text.strip_prefix('t')?.split_once('.')?;
        let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        Some(Self {
            at,
            id: Uuid::try_parse(id).ok()?,
        })
    }
}

impl Place for KeyPlace {
    fn spell(&self) -> String {
        format!("k{}.{}", self.ring.as_str(), self.version)
    }

    fn read(text: &str) -> Option<Self> {
        let (ring, version) = text.strip_prefix('k')?.split_once('.')?;
        Some(Self {
            ring: Ring::parse(ring).ok()?,
            version: version.parse().ok()?,
        })
    }
}

impl Place for SecretName {
    fn spell(&self) -> String {
        format!("n{self}")
    }

    fn read(text: &str) -> Option<Self> {
        Self::parse(text.strip_prefix('n')?).ok()
    }
}

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
pub(crate) fn place<P: Place>(token: &str) -> Result<Option<P>, Invalid> {
    if token.is_empty() {
        return Ok(None);
    }
    let text = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| P::read(&text))
        .map(Some)
        .ok_or("is not a page token of this list")
}

/// Asks for one more than the page holds, to see whether another page follows.
pub(crate) fn with_one_more<P: Clone>(page: &Page<P>) -> Page<P> {
    Page {
        size: page.size + 1,
        after: page.after.clone(),
    }
}

/// Cuts what [`with_one_more`] brought to the page's size; the token of the next page, empty at the end.
pub(crate) fn cut<T, P: Place>(items: &mut Vec<T>, size: usize, place: impl Fn(&T) -> P) -> String {
    if items.len() <= size {
        return String::new();
    }
    items.truncate(size);
    items
        .last()
        .map(|last| URL_SAFE_NO_PAD.encode(place(last).spell()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somewhere() -> TimePlace {
        let at = DateTime::from_timestamp_micros(1_790_000_000_123_456).expect("a time");
        TimePlace {
            at,
            id: Uuid::from_u128(7),
        }
    }

    #[test]
    fn a_place_survives_its_token() {
        let token = cut(&mut vec![1, 2], 1, |_| somewhere());
        assert_eq!(place(&token), Ok(Some(somewhere())));
        assert_eq!(place::<TimePlace>(""), Ok(None));
    }

    #[test]
    fn a_token_of_another_list_is_refused() {
        let token = cut(&mut vec![1, 2], 1, |_| somewhere());
        assert!(place::<SecretName>(&token).is_err());
        for bad in ["x", "%%%", "dA", "dDEuMg"] {
            assert!(place::<TimePlace>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_page_names_no_next_one() {
        assert_eq!(cut(&mut vec![1], 1, |_| somewhere()), "");
    }

    #[test]
    fn a_page_has_a_largest_size() {
        assert_eq!(size(0), Ok(50));
        assert_eq!(size(1000), Ok(1000));
        assert_eq!(size(1001), Ok(1000));
        assert!(size(-1).is_err());
    }
}
