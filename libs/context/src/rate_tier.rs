//! How often a workspace may call.

/// The rate tier of a workspace (B-GW-17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateTier {
    /// 600 requests a minute.
    Free,
    /// 6000 requests a minute: the tier of a workspace about which nothing was decided.
    Standard,
    /// 60000 requests a minute.
    Enterprise,
    /// No limit.
    Unlimited,
}

impl RateTier {
    const ALL: [Self; 4] = [Self::Free, Self::Standard, Self::Enterprise, Self::Unlimited];

    /// The word in messages, settings and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Standard => "standard",
            Self::Enterprise => "enterprise",
            Self::Unlimited => "unlimited",
        }
    }

    /// The tier of that word.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(word: &str) -> Result<Self, &'static str> {
        let known = Self::ALL.into_iter().find(|tier| tier.as_str() == word);
        known.ok_or("must be free, standard, enterprise or unlimited")
    }

    /// Requests in any minute; nothing is no limit.
    pub const fn per_minute(self) -> Option<u32> {
        match self {
            Self::Free => Some(600),
            Self::Standard => Some(6000),
            Self::Enterprise => Some(60_000),
            Self::Unlimited => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_read_as_they_are_written() {
        for tier in RateTier::ALL {
            assert_eq!(RateTier::parse(tier.as_str()), Ok(tier));
        }
        assert!(RateTier::parse("gold").is_err() && RateTier::parse("").is_err());
    }

    #[test]
    fn a_higher_tier_allows_more() {
        let limits = RateTier::ALL.map(|tier| tier.per_minute().unwrap_or(u32::MAX));
        assert!(limits.is_sorted());
    }
}
