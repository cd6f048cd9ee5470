//! The settings that tenancy owns.

use causeway_context::{RateTier, WorkspaceId};
use causeway_crypto::LocalKeys;
use causeway_kms::{KmsOptions, Patience};
use causeway_settings::{Problem, Settings, Tier};
use chrono::TimeDelta;

use crate::providers::KmsKeys;
use crate::service::{Defaults, Lifecycle, Modes};

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
    /// The times of grace and of backups.
    pub lifecycle: Lifecycle,
    /// Whether a key in AWS KMS that cannot be used stops the start. One that cannot be asked for now never does.
    pub kms_must_work: bool,
    /// The longest life of an access token (`AUTH_ACCESS_TOKEN_TTL_MINUTES`): for so long gateways are told of a change.
    pub access_life: TimeDelta,
    /// How many percent of the time a rotation works (ROT-07).
    pub rotation_duty: u32,
}

const DUTY: u32 = 25;

impl Config {
    /// The configuration out of the resolved settings, which have checked form and presence of each.
    ///
    /// # Errors
    /// Every value that cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, Vec<Problem>> {
        Ok(Self {
            defaults: Defaults {
                region: settings
                    .text("KAIREON_REGION")
                    .unwrap_or_else(|| REGION.to_owned()),
                rate_tier: settings
                    .text("RATE_LIMIT_TIER")
                    .and_then(|word| RateTier::parse(&word).ok()),
                demo: settings.flag("DEMO_MODE").unwrap_or(false),
                modes: modes(settings)?,
            },
            keys: LocalKeys {
                master: settings.secret("CAUSELOOP_MASTER_KEY"),
                master_previous: settings.secret("CAUSELOOP_MASTER_KEY_PREVIOUS"),
                connector: settings.secret("CONNECTOR_ENCRYPTION_KEY"),
                connector_previous: settings.secret("CONNECTOR_ENCRYPTION_KEY_PREVIOUS"),
            },
            development_key: settings.development_key_allowed(),
            access_life: TimeDelta::minutes(settings.integer("AUTH_ACCESS_TOKEN_TTL_MINUTES").unwrap_or(15)),
            kms: KmsKeys {
                active: kms(settings, settings.text("KMS_KEY_ID")),
                previous: kms(settings, settings.text("KMS_KEY_ID_PREVIOUS")),
            },
            lifecycle: Lifecycle {
                grace: TimeDelta::hours(settings.integer("ERASURE_GRACE_HOURS").unwrap_or_default()),
                keystore_backups: TimeDelta::days(
                    settings
                        .integer("KEYSTORE_BACKUP_RETENTION_DAYS")
                        .unwrap_or_default(),
                ),
            },
            kms_must_work: settings.tier().is_production(),
            rotation_duty: settings
                .integer("KEY_ROTATION_DUTY")
                .and_then(|percent| u32::try_from(percent).ok())
                .unwrap_or(DUTY),
        })
    }
}

fn modes(settings: &Settings) -> Result<Modes, Vec<Problem>> {
    const OWNER: &str = "PLATFORM_OWNER_TENANT_ID";
    let platform_owner = settings.text(OWNER).map(|text| WorkspaceId::named(&text));
    let platform_owner = platform_owner.transpose();
    Ok(Modes {
        single_tenant: settings.flag("SINGLE_TENANT_MODE").unwrap_or(false),
        platform_owner: platform_owner.map_err(|error| vec![Problem::new(OWNER, error.to_string())])?,
        any_base_url: settings.tier() == Tier::Development && settings.development_key_allowed(),
    })
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
            ..
        } = config(&[]).defaults;
        assert_eq!((region.as_str(), rate_tier, demo), ("us-east-1", None, false));
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
            ..
        } = config(&pairs).defaults;
        assert_eq!(
            (region.as_str(), rate_tier, demo),
            ("eu-west-1", Some(RateTier::Enterprise), true)
        );
    }

    #[test]
    fn a_tenant_is_strict_unless_the_settings_say_otherwise() {
        let modes = |pairs: &[(&str, &str)]| config(pairs).defaults.modes;
        assert_eq!(modes(&[("NODE_ENV", "test")]), Modes::default());
        assert!(
            modes(&[]).any_base_url,
            "development without a database elsewhere"
        );
        assert!(!modes(&[("DATABASE_URL", "postgresql://u:p@db.example/db")]).any_base_url);
        let named = modes(&[
            ("PLATFORM_OWNER_TENANT_ID", "default"),
            ("SINGLE_TENANT_MODE", "true"),
        ]);
        assert_eq!(named.platform_owner, Some(WorkspaceId::DEFAULT));
        assert!(named.single_tenant);
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
