//! Amazon resource names of keys: `arn:partition:kms:region:account:key/id`, and `alias/name` instead of `key/id`.

pub(crate) const PREFIX: &str = "arn:";

/// The part of an ARN before the name of the key: partition, region and account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home(String);

impl Home {
    /// Where the key or alias with that ARN lives; nothing if the text is something else.
    pub(crate) fn of(arn: &str) -> Option<Self> {
        let (home, name) = arn.rsplit_once(':')?;
        let parts: Vec<&str> = home.split(':').collect();
        let [arn, partition, "kms", region, account] = parts[..] else {
            return None;
        };
        let named = ["key/", "alias/"]
            .iter()
            .any(|kind| name.strip_prefix(kind).is_some_and(|name| !name.is_empty()));
        let complete = ![partition, region, account].contains(&"") && arn == "arn";
        (named && complete).then(|| Self(home.to_owned()))
    }

    /// Whether the key lives here.
    pub(crate) fn holds(&self, arn: &str) -> bool {
        Self::of(arn).is_some_and(|home| home == *self)
    }

    pub(crate) fn region(&self) -> &str {
        self.0.split(':').nth(3).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/0d8f3c3e-6f0e-4c5e-8a0c-0d2f0f7d1c11";

    #[test]
    fn a_key_lives_in_one_partition_region_and_account() {
        let home = Home::of(KEY).expect("an ARN of a key");
        assert_eq!(home.region(), "eu-west-1");
        assert!(home.holds("arn:aws:kms:eu-west-1:111122223333:key/another"));
        for other in [
            "arn:aws:kms:eu-west-2:111122223333:key/another",
            "arn:aws:kms:eu-west-1:444455556666:key/another",
            "arn:aws-cn:kms:eu-west-1:111122223333:key/another",
            "master-0123456789abcdef",
        ] {
            assert!(!home.holds(other), "{other}");
        }
    }

    #[test]
    fn an_alias_has_a_home_too_and_nothing_else_has() {
        assert_eq!(
            Home::of("arn:aws:kms:eu-west-1:111122223333:alias/causeway"),
            Home::of(KEY)
        );
        for not_one in [
            "",
            "alias/causeway",
            "0d8f3c3e-6f0e-4c5e-8a0c-0d2f0f7d1c11",
            "arn:aws:s3:eu-west-1:111122223333:key/x",
            "arn:aws:kms:eu-west-1:111122223333:key/",
            "arn:aws:kms:eu-west-1::key/x",
            "arn:aws:kms:eu-west-1:111122223333:grant/x",
            "arn:aws:kms:eu-west-1:111122223333:extra:key/x",
        ] {
            assert_eq!(Home::of(not_one), None, "{not_one}");
        }
    }
}
