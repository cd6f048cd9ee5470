//! What the gateway is told.

mod access;

use std::collections::BTreeMap;
use std::time::Duration;

use causeway_context::RateTier;
use causeway_settings::{Problem, Settings, Tier};
use http::HeaderValue;
use ipnet::IpNet;

use crate::door::tasks::TaskRules;

pub use access::AccessConfig;

/// The gateway's part of the settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The tier.
    pub tier: Tier,
    /// The most that a request's body may measure.
    pub max_body_bytes: usize,
    /// Origins that browsers may call from; `*` alone allows any, without credentials.
    pub origins: Vec<String>,
    /// The Content-Security-Policy to send; none when it is switched off.
    pub content_security_policy: Option<HeaderValue>,
    /// Whether the public side is https: HSTS.
    pub public_https: bool,
    /// Proxies whose forwarded addresses are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Requests a minute of one address; 0 is no limit.
    pub rate_per_address: u32,
    /// The rate tier of all workspaces, in place of their own.
    pub rate_tier: Option<RateTier>,
    /// The regions, if there are several.
    pub regions: Option<Regions>,
    /// Whether there is one workspace only (SINGLE_TENANT_MODE).
    pub single_tenant: bool,
    /// How access tokens are verified.
    pub access: AccessConfig,
    /// What task routes ask for.
    pub tasks: TaskRules,
    /// From when on an answer is slow.
    pub slow_after: Duration,
    /// The refresh cookie.
    pub cookie: CookieConfig,
    /// The cookie of a browser on which somebody signed in before.
    pub device_cookie: CookieConfig,
}

/// The attributes of a cookie; those of the refresh cookie are set (B-AUTH-13).
#[derive(Debug, Clone)]
pub struct CookieConfig {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// Its domain; the host alone when absent.
    pub domain: Option<String>,
    /// `Lax`, `Strict` or `None`.
    pub same_site: &'static str,
    /// Whether it is sent over https only: with an address of https, and always in production.
    pub secure: bool,
    /// How long it lives, in seconds.
    pub seconds: i64,
}

/// The regions of the platform (B-GW-27).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions {
    /// The one that this process serves.
    pub own: String,
    /// The public address of each; requests are sent to no other.
    pub urls: BTreeMap<String, String>,
}

impl Config {
    /// Reads the gateway's settings.
    ///
    /// # Errors
    /// Every setting that is wrong.
    pub fn from_settings(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let tier = settings.tier();
        let public_url = settings.text("NEXTAUTH_URL").unwrap_or_default();
        let trusted_proxies = settings
            .list("TRUSTED_PROXIES")
            .iter()
            .filter_map(|text| {
                let net = text
                    .parse()
                    .or_else(|_| text.parse().map(|address: std::net::IpAddr| IpNet::from(address)));
                net.map_err(|_| {
                    problems.push(problem("TRUSTED_PROXIES", "must hold addresses or CIDR blocks"))
                })
                .ok()
            })
            .collect();
        let cookie = refresh_cookie(settings, &mut problems);
        let config = Self {
            tier,
            max_body_bytes: number(settings, "MAX_BODY_BYTES", 10 << 20),
            origins: settings.list("CORS_ALLOWED_ORIGINS"),
            content_security_policy: policy(settings, &mut problems),
            public_https: public_url.starts_with("https://"),
            trusted_proxies,
            rate_per_address: if tier == Tier::Test {
                0
            } else {
                number(settings, "RATE_LIMIT_PER_MINUTE", 6000)
            },
            rate_tier: rate_tier(settings, &mut problems),
            regions: regions(settings, &mut problems),
            single_tenant: settings.flag("SINGLE_TENANT_MODE").unwrap_or(false),
            access: AccessConfig::from_settings(settings, &mut problems),
            tasks: TaskRules::from_settings(settings, &mut problems),
            slow_after: Duration::from_millis(number(settings, "SLOW_API_THRESHOLD_MS", 150)),
            device_cookie: device_cookie(settings, &cookie, &mut problems),
            cookie,
        };
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }

    /// Whether the door has to know anything of a tenant.
    pub(crate) fn asks_for_tenants(&self) -> bool {
        self.rate_tier.is_none() || self.regions.is_some()
    }
}

/// The refresh cookie (B-AUTH-13).
fn refresh_cookie(settings: &Settings, problems: &mut Vec<Problem>) -> CookieConfig {
    const NAME: &str = "AUTH_REFRESH_COOKIE_NAME";
    let https = settings
        .text("NEXTAUTH_URL")
        .is_some_and(|url| url.starts_with("https://"));
    let cookie = CookieConfig {
        name: settings.text(NAME).unwrap_or_else(|| "refresh_token".to_owned()),
        path: settings
            .text("AUTH_REFRESH_COOKIE_PATH")
            .unwrap_or_else(|| "/auth".to_owned()),
        domain: settings.text("AUTH_REFRESH_COOKIE_DOMAIN"),
        same_site: match settings.text("AUTH_REFRESH_COOKIE_SAMESITE").as_deref() {
            Some("strict") => "Strict",
            Some("none") => "None",
            _ => "Lax",
        },
        secure: https || settings.tier() == Tier::Production,
        seconds: number::<i64>(settings, "AUTH_REFRESH_TOKEN_TTL_DAYS", 30) * 86_400,
    };
    keeps_its_promise(NAME, &cookie, problems);
    cookie
}

/// The cookie of a known browser goes where the refresh cookie goes.
fn device_cookie(settings: &Settings, refresh: &CookieConfig, problems: &mut Vec<Problem>) -> CookieConfig {
    const NAME: &str = "AUTH_DEVICE_COOKIE_NAME";
    let cookie = CookieConfig {
        name: settings
            .text(NAME)
            .unwrap_or_else(|| "causeway_device".to_owned()),
        seconds: number::<i64>(settings, "AUTH_DEVICE_COOKIE_TTL_DAYS", 365) * 86_400,
        ..refresh.clone()
    };
    if cookie.name == refresh.name {
        problems.push(problem(
            NAME,
            "must be another name than AUTH_REFRESH_COOKIE_NAME",
        ));
    }
    keeps_its_promise(NAME, &cookie, problems);
    cookie
}

/// A name that browsers take for a promise must keep it (REF-07): they drop the cookie otherwise, and nobody stays logged
/// in.
fn keeps_its_promise(setting: &str, cookie: &CookieConfig, problems: &mut Vec<Problem>) {
    let prefixed = |prefix: &str| cookie.name.to_ascii_lowercase().starts_with(prefix);
    if (prefixed("__host-") || prefixed("__secure-")) && !cookie.secure {
        problems.push(problem(
            setting,
            "has a prefix that needs a public address with https",
        ));
    }
    if prefixed("__host-") && (cookie.path != "/" || cookie.domain.is_some()) {
        problems.push(problem(
            setting,
            "begins with __Host-, which needs the path / and no domain",
        ));
    }
}

fn problem(setting: &str, message: &str) -> Problem {
    Problem {
        setting: setting.to_owned(),
        message: message.to_owned(),
    }
}

fn number<T: TryFrom<i64>>(settings: &Settings, name: &str, default: T) -> T {
    settings
        .integer(name)
        .and_then(|number| T::try_from(number).ok())
        .unwrap_or(default)
}

/// The policy of B-GW-7 and B-GW-8: computed, replaced whole, or dropped outside of production.
fn policy(settings: &Settings, problems: &mut Vec<Problem>) -> Option<HeaderValue> {
    let production = settings.tier() == Tier::Production;
    if settings.flag("CSP_DISABLED") == Some(true) && !production {
        return None;
    }
    let text = settings.text("CSP_POLICY").unwrap_or_else(|| {
        let eval = if production { "" } else { " 'unsafe-eval'" };
        format!(
            "default-src 'self'; script-src 'self'{eval}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
             object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
        )
    });
    match HeaderValue::try_from(text) {
        Ok(value) => Some(value),
        Err(_) => {
            problems.push(problem("CSP_POLICY", "must be one line of visible ASCII"));
            None
        }
    }
}

/// The tier of all workspaces, if they have one: none is limited in tier `test` (C-14).
fn rate_tier(settings: &Settings, problems: &mut Vec<Problem>) -> Option<RateTier> {
    if settings.tier() == Tier::Test {
        return Some(RateTier::Unlimited);
    }
    let tier = RateTier::parse(&settings.text("RATE_LIMIT_TIER")?);
    tier.map_err(|wrong| problems.push(problem("RATE_LIMIT_TIER", wrong)))
        .ok()
}

/// Nothing unless the platform has several regions.
fn regions(settings: &Settings, problems: &mut Vec<Problem>) -> Option<Regions> {
    const NAME: &str = "REGION_URLS";
    let mut urls = BTreeMap::new();
    for entry in settings.list(NAME) {
        let Some((region, url)) = entry.split_once('=') else {
            problems.push(problem(NAME, "every entry must be region=https://host"));
            continue;
        };
        // Clients follow with their credential.
        if settings.tier().is_production() && !url.starts_with("https://") {
            problems.push(problem(NAME, "must hold https addresses only in production"));
        }
        if urls.insert(region.to_owned(), url.to_owned()).is_some() {
            problems.push(problem(NAME, "names a region twice"));
        }
    }
    let regions = Regions {
        own: settings.text("KAIREON_REGION")?,
        urls,
    };
    (settings.flag("MULTI_REGION_ENABLED") == Some(true)).then_some(regions)
}
