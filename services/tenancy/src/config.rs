//! The settings that tenancy owns.

use causeway_crypto::LocalKeys;
use causeway_kms::{KmsOptions, Patience};
use causeway_settings::{Problem, Settings};

use crate::providers::KmsKeys;
use crate::service::Defaults;

const REGION: &str = "us-east-1";

/// What the service needs to know. Has no `Debug`: it holds keys.
pub struct Config {
    /// What is true of every workspace of this process.
    pub defaults: Defaults,
    /// The keys that wrap data keys.
    pub keys: LocalKeys,
    /// Whether the key that everybody knows may wrap where no other does (C-7).
    pub development_key: bool,
    /// Those in AWS KMS.
    pub kms: KmsKeys,
    /// Whether a key in AWS KMS that cannot be used stops the start. One that cannot be asked for now never does.
    pub kms_must_work: bool,
}

impl Config {
    /// The configuration out of the resolved settings, which have checked form and presence of each.
    ///
    /// # Errors
    /// None now; the form that all services share.
    pub fn from_settings(settings: &Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self {
            defaults: Defaults {
                region: settings
                    .text("KAIREON_REGION")
                    .unwrap_or_else(|| REGION.to_owned()),
                rate_tier: settings.text("RATE_LIMIT_TIER"),
                demo: settings.flag("DEMO_MODE").unwrap_or(false),
            },
            keys: LocalKeys {
                master: settings.secret("CAUSELOOP_MASTER_KEY"),
                master_previous: settings.secret("CAUSELOOP_MASTER_KEY_PREVIOUS"),
                connector: settings.secret("CONNECTOR_ENCRYPTION_KEY"),
                connector_previous: settings.secret("CONNECTOR_ENCRYPTION_KEY_PREVIOUS"),
            },
            development_key: settings.development_key_allowed(),
            kms: KmsKeys {
                active: kms(settings, settings.text("KMS_KEY_ID")),
                previous: kms(settings, settings.text("KMS_KEY_ID_PREVIOUS")),
            },
            kms_must_work: settings.tier().is_production(),
        })
    }
}

fn kms(settings: &Settings, key_id: Option<String>) -> Option<KmsOptions> {
    Some(KmsOptions {
        key_id: key_id?,
        region: settings.text("KMS_REGION").unwrap_or_else(|| REGION.to_owned()),
        endpoint_url: settings.text("KMS_ENDPOINT_URL"),
        access_key: None,
        patience: Patience::default(),
    })
}

#[cfg(test)]
mod tests {
    use causeway_crypto::{KeyProvider as _, LocalRing};
    use causeway_settings::{Owner, Sources};

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let sources = Sources::from_pairs(pairs.iter().copied());
        let settings = Settings::resolve(&sources, &[Owner::Tenancy, Owner::Mesh]).expect("resolved");
        Config::from_settings(&settings).expect("a configuration")
    }

    fn active(config: &Config) -> Option<String> {
        let ring = LocalRing::new(&config.keys, config.development_key).expect("a ring");
        ring.active_id()
            .map(|id| id.split_once('-').expect("a family").0.to_owned())
    }

    #[test]
    fn without_settings_a_workspace_has_the_usual_home() {
        let Defaults {
            region,
            rate_tier,
            demo,
        } = config(&[]).defaults;
        assert_eq!(
            (region.as_str(), rate_tier.as_deref(), demo),
            ("us-east-1", None, false)
        );
    }

    #[test]
    fn region_tier_and_playground_are_read() {
        let pairs = [
            ("KAIREON_REGION", "eu-west-1"),
            ("RATE_LIMIT_TIER", "enterprise"),
            ("DEMO_MODE", "true"),
        ];
        let Defaults {
            region,
            rate_tier,
            demo,
        } = config(&pairs).defaults;
        assert_eq!(
            (region.as_str(), rate_tier.as_deref(), demo),
            ("eu-west-1", Some("enterprise"), true)
        );
    }

    #[test]
    fn the_key_that_wraps_is_the_master_key_then_the_connector_key_then_the_development_one() {
        let master = (
            "CAUSELOOP_MASTER_KEY",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        );
        let connector = ("CONNECTOR_ENCRYPTION_KEY", "any text at all");
        assert_eq!(active(&config(&[master, connector])).as_deref(), Some("master"));
        assert_eq!(active(&config(&[connector])).as_deref(), Some("connector"));
        assert_eq!(active(&config(&[])).as_deref(), Some("development"));
    }

    #[test]
    fn keys_in_kms_are_read_with_the_region_that_is_nearest() {
        let unset = config(&[]).kms;
        assert!(unset.active.is_none() && unset.previous.is_none());
        let pairs = [
            ("KMS_KEY_ID", "alias/causeway"),
            ("KMS_KEY_ID_PREVIOUS", "alias/before"),
            ("AWS_REGION", "eu-west-1"),
            ("KMS_ENDPOINT_URL", "http://localhost:5000"),
        ];
        let set = config(&pairs);
        let keys = [set.kms.active, set.kms.previous].map(|key| key.expect("set"));
        assert_eq!(
            keys.each_ref().map(|key| key.key_id.as_str()),
            ["alias/causeway", "alias/before"]
        );
        for key in keys {
            assert_eq!(key.region, "eu-west-1");
            assert_eq!(key.endpoint_url.as_deref(), Some("http://localhost:5000"));
        }
        assert!(!set.kms_must_work);
        let own = config(&[pairs[0], pairs[2], ("KMS_REGION", "eu-west-2")]).kms;
        assert_eq!(own.active.expect("set").region, "eu-west-2");
    }

    #[test]
    fn a_remote_database_in_an_unstated_tier_gets_no_development_key() {
        let remote = ("DATABASE_URL", "postgresql://u:p@db.example/db");
        assert_eq!(active(&config(&[remote])), None);
        assert_eq!(
            active(&config(&[remote, ("NODE_ENV", "test")])).as_deref(),
            Some("development")
        );
    }
}
