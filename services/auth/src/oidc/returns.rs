//! Where a browser may be sent after a sign-in. Whoever writes the link to its start chooses the place, so only ours count.

use causeway_oidc::Url;

use crate::domain::Invalid;

/// So that what the browser keeps fits a cookie.
const MAX_BYTES: usize = 1024;

/// The places that are ours.
#[derive(Debug, Clone, Default)]
pub(crate) struct Returns {
    base: Option<Url>,
    origins: Vec<String>,
}

impl Returns {
    /// The public address and the origins of the front ends. `*` is no place of ours.
    pub(crate) fn new(base: Option<&str>, origins: &[String]) -> Self {
        let base = base.and_then(|base| Url::parse(base).ok());
        let own = base.as_ref().map(|base| base.origin().ascii_serialization());
        let origins = origins
            .iter()
            .filter_map(|origin| Url::parse(origin).ok())
            .map(|origin| origin.origin().ascii_serialization());
        Self {
            origins: origins.chain(own).filter(|origin| origin != "null").collect(),
            base,
        }
    }

    /// The address of a text: a path of the public address, or an address of one of the origins. Nothing of an empty one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn check(&self, text: &str) -> Result<Option<String>, Invalid> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() > MAX_BYTES {
            return Err("must be at most 1024 bytes long");
        }
        // Browsers read a backslash as a slash, and leave blanks and control characters out.
        let plain = |letter: char| letter.is_ascii_graphic() && letter != '\\';
        if !text.chars().all(plain) {
            return Err("must be a plain address");
        }
        let url = Url::options().base_url(self.base.as_ref()).parse(text);
        let url = url.map_err(|_| "must be an address")?;
        // Addresses inside of others, such as `blob:`, have the origin of what they hold.
        let of_the_web = ["http", "https"].contains(&url.scheme());
        let nobody = url.username().is_empty() && url.password().is_none();
        let origin = url.origin().ascii_serialization();
        match of_the_web && nobody && self.origins.contains(&origin) {
            true => Ok(Some(url.into())),
            false => Err("is not an address of an allowed origin"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returns() -> Returns {
        let origins = ["https://app.example.com", "http://localhost:3000", "*"];
        Returns::new(Some("https://door.example"), &origins.map(str::to_owned))
    }

    #[test]
    fn only_places_of_ours_are_returned_to() {
        for (text, place) in [
            ("/welcome?a=b", "https://door.example/welcome?a=b"),
            ("welcome", "https://door.example/welcome"),
            ("https://app.example.com/x#y", "https://app.example.com/x#y"),
            ("https://app.example.com:443", "https://app.example.com/"),
            ("http://localhost:3000/x", "http://localhost:3000/x"),
        ] {
            assert_eq!(returns().check(text), Ok(Some(place.to_owned())), "{text}");
        }
        assert_eq!(returns().check(""), Ok(None));
        for text in [
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https://evil.example",
            "https://app.example.com.evil.example",
            "https://app.example.com@evil.example",
            "https://user@app.example.com",
            "https://app.example.com:8443",
            "http://app.example.com",
            "http://localhost:3001",
            "javascript:alert(1)",
            "data:text/html,x",
            "*",
            "/a\nb",
            "/a b",
            "\u{2028}",
            "blob:https://app.example.com/x",
        ] {
            let answer = returns().check(text);
            let stays = answer.as_ref().is_ok_and(|place| {
                place
                    .as_ref()
                    .is_some_and(|place| place.starts_with("https://door.example/"))
            });
            assert!(answer.is_err() || stays, "{text}: {answer:?}");
        }
        assert!(returns().check(&format!("/{}", "a".repeat(1024))).is_err());
    }

    #[test]
    fn without_a_public_address_there_are_no_paths() {
        let none = Returns::default();
        assert!(none.check("/x").is_err() && none.check("https://app.example.com").is_err());
    }
}
