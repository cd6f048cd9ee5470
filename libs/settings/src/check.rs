//! Tests of single values. A reason never repeats the value.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

type Checked = Result<(), &'static str>;

const fn ensure(holds: bool, otherwise: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// One of the schemes, a host and a port that is one; a file has no host.
pub(crate) fn url(text: &str, schemes: &[&str]) -> Result<(), String> {
    let scheme = schemes.iter().find(|scheme| text.starts_with(**scheme));
    let scheme = scheme.ok_or_else(|| format!("must begin with {}", schemes.join(" or ")))?;
    let rest = &text[scheme.len()..];
    if has_host(rest) || (*scheme == "file://" && rest.starts_with('/')) {
        return Ok(());
    }
    Err("must name a host, and a port from 1 to 65535 if any, without spaces".to_owned())
}

pub(crate) fn database_url(text: &str) -> Checked {
    ensure(
        !text.starts_with("postgres://"),
        "must begin with postgresql://, not postgres://",
    )?;
    ensure(text.starts_with("postgresql://"), "must begin with postgresql://")
}

pub(crate) fn redis_url(text: &str) -> Checked {
    let rest = text
        .strip_prefix("redis://")
        .or_else(|| text.strip_prefix("rediss://"));
    let rest = rest.ok_or("must begin with redis:// or rediss://; a REST address does not work")?;
    ensure(
        has_host(rest),
        "must name a host, and a port from 1 to 65535 if any",
    )
}

/// Whether `rest` (what follows the scheme) begins with a host.
fn has_host(rest: &str) -> bool {
    if rest
        .chars()
        .any(|letter| letter.is_whitespace() || letter.is_control())
    {
        return false;
    }
    let authority = authority(rest);
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, after)| after);
    is_host_port(host_port)
}

fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn is_host_port(text: &str) -> bool {
    match split_port(text) {
        (host, Some(port)) => !host.is_empty() && is_port(port),
        (host, None) => !host.is_empty(),
    }
}

/// `host:port`, `[::1]:port`, `host`.
fn split_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, port)) = text.rsplit_once(']') {
        return (
            host,
            port.strip_prefix(':').or((!port.is_empty()).then_some(port)),
        );
    }
    text.rsplit_once(':')
        .map_or((text, None), |(host, port)| (host, Some(port)))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Whether a `postgresql://` address points to this machine: loopback, or a socket in the file system.
pub(crate) fn is_local_database(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority(rest);
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, after)| after);
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let elsewhere = query.split('&').any(|pair| {
        let host = pair
            .strip_prefix("host=")
            .or_else(|| pair.strip_prefix("hostaddr="));
        host.is_some_and(|host| !is_local_host(host))
    });
    !elsewhere && host_port.split(',').all(|one| is_local_host(split_port(one).0))
}

/// Whether an address names this machine.
pub(crate) fn is_local_url(url: &str) -> bool {
    let authority = authority(url.split_once("://").map_or(url, |(_, rest)| rest));
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, after)| after);
    is_local_host(split_port(host_port).0)
}

fn is_local_host(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let socket =
        host.is_empty() || host.starts_with('/') || host.starts_with("%2F") || host.starts_with("%2f");
    socket || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(crate) fn master_key(text: &str) -> Checked {
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| "must be standard base64 (try: openssl rand -base64 32)")?;
    ensure(
        bytes.len() == 32,
        "must be the base64 of exactly 32 bytes (try: openssl rand -base64 32)",
    )
}

/// Whether a text is the base64 of one byte, repeated.
pub(crate) fn is_one_byte(text: &str) -> bool {
    let bytes = STANDARD.decode(text).unwrap_or_default();
    bytes.windows(2).all(|pair| pair[0] == pair[1]) && !bytes.is_empty()
}

pub(crate) fn cookie_name(text: &str) -> Checked {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    ensure(
        text.bytes().all(token),
        "has characters that a cookie name may not hold",
    )
}

pub(crate) fn absolute_path(text: &str) -> Checked {
    ensure(text.starts_with('/'), "must begin with /")?;
    ensure(
        text.bytes()
            .all(|byte| (0x21..0x7f).contains(&byte) && byte != b';'),
        "has characters a cookie path may not hold",
    )
}

pub(crate) fn cookie_domain(text: &str) -> Checked {
    let label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    ensure(text.bytes().all(label), "must be a domain name")
}

pub(crate) fn header_value(text: &str) -> Checked {
    ensure(
        text.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
        "must be one line of visible ASCII",
    )
}

pub(crate) fn email(text: &str) -> Checked {
    let address = text
        .rsplit_once('<')
        .map_or(text, |(_, rest)| rest.trim_end_matches('>'));
    let fits = address.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && !address.contains(char::is_whitespace)
    });
    ensure(fits, "must be a mail address")
}

pub(crate) fn arn(text: &str) -> Checked {
    ensure(
        text.starts_with("arn:") && text.split(':').count() >= 6,
        "must be an ARN (arn:partition:service:...)",
    )
}

/// An ARN of a key or an alias, `alias/name`, or the id of a key.
pub(crate) fn kms_key(text: &str) -> Checked {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte);
    let fits = match text.strip_prefix("arn:") {
        Some(_) => kms_region(text).is_some() && (text.contains(":key/") || text.contains(":alias/")),
        None => !text.contains(':') && (text.starts_with("alias/") || !text.contains('/')),
    };
    ensure(
        fits && text.len() <= 2048 && text.bytes().all(name) && !text.ends_with('/'),
        "must be the ARN or id of a KMS key, or an alias (alias/...)",
    )
}

/// The region in the ARN of a KMS key.
pub(crate) fn kms_region(text: &str) -> Option<&str> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        ["arn", _, "kms", region, _, _] if !region.is_empty() => Some(region),
        _ => None,
    }
}

pub(crate) fn aws_region(text: &str) -> Checked {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    ensure(
        text.bytes().all(letter),
        "must be the name of an AWS region, as in eu-west-1",
    )
}

pub(crate) fn broker(text: &str) -> Checked {
    let fits = matches!(split_port(text), (host, Some(port)) if !host.is_empty() && is_port(port));
    ensure(fits, "every entry must be host:port")
}

pub(crate) fn ip_address(text: &str) -> Checked {
    ensure(
        text.parse::<IpAddr>().is_ok(),
        "every entry must be an IP address",
    )
}

pub(crate) fn network(text: &str) -> Checked {
    let fits = text.parse::<ipnet::IpNet>().is_ok() || text.parse::<IpAddr>().is_ok();
    ensure(fits, "every entry must be an IP address or a CIDR block")
}

pub(crate) fn bind_address(text: &str) -> Checked {
    ensure(
        text.parse::<IpAddr>().is_ok(),
        "must be an IP address to listen on",
    )
}

pub(crate) fn listen_address(text: &str) -> Checked {
    ensure(
        text.parse::<std::net::SocketAddr>().is_ok(),
        "must be an IP address and a port, as in 0.0.0.0:7000",
    )
}

pub(crate) fn origin(text: &str) -> Checked {
    if text == "*" {
        return Ok(());
    }
    let fits = text
        .split_once("://")
        .is_some_and(|(_, rest)| has_host(rest) && !rest.contains(['/', '?', '#', '@']));
    ensure(
        fits,
        "every entry must be an origin: scheme, host and port, without a path",
    )
}

pub(crate) fn keyspace(text: &str) -> Checked {
    let fits = text.len() <= 48
        && text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    ensure(
        fits,
        "must be a keyspace identifier: a letter, then letters, digits and _",
    )
}

pub(crate) fn consistency(text: &str) -> Checked {
    const LEVELS: [&str; 9] = [
        "any",
        "one",
        "two",
        "three",
        "quorum",
        "all",
        "local-quorum",
        "each-quorum",
        "local-one",
    ];
    let word = text.to_ascii_lowercase().replace('_', "-");
    ensure(
        LEVELS.contains(&word.as_str()),
        "must be a consistency level such as local-quorum, quorum or one",
    )
}

pub(crate) fn index_prefix(text: &str) -> Checked {
    let fits = !text.starts_with(['-', '_', '+'])
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte));
    ensure(
        fits,
        "must be lower case letters, digits, - _ and ., and begin with a letter or digit",
    )
}

pub(crate) fn image_digest(text: &str) -> Checked {
    let digest = text
        .strip_prefix("sha256:")
        .ok_or("must be sha256: and 64 hex digits")?;
    hex_digest(digest).map_err(|_| "must be sha256: and 64 hex digits")
}

pub(crate) fn hex_digest(text: &str) -> Checked {
    ensure(
        text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "must be 64 hex digits",
    )
}

pub(crate) fn timestamp(text: &str) -> Checked {
    ensure(
        chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        "must be an RFC 3339 time",
    )
}

pub(crate) fn provider(text: &str) -> Checked {
    ensure(
        crate::llm::PROVIDERS.contains(&text),
        "every entry must be a known provider: anthropic, openai or mock",
    )
}

/// The name of a region of this platform, as a tenant's home is stored.
pub(crate) fn region(text: &str) -> Checked {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    ensure(
        (1..=32).contains(&text.len()) && text.bytes().all(letter),
        "must be 1 to 32 of a-z 0-9 -",
    )
}

/// `region=https://host`: an origin, so that path and query of a request can follow it.
pub(crate) fn region_url(text: &str) -> Checked {
    const FORM: &str = "every entry must be region=https://host, without a path";
    let (name, url) = text.split_once('=').ok_or(FORM)?;
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
        .ok_or(FORM)?;
    ensure(
        region(name).is_ok() && has_host(rest) && !rest.contains(['/', '?', '#', '@', '\\']),
        FORM,
    )
}

/// The id of a workspace, or the name that one has.
pub(crate) fn workspace(text: &str) -> Checked {
    let hex = |(place, byte): (usize, u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    ensure(
        text == "default" || (text.len() == 36 && text.bytes().enumerate().all(hex)),
        "must be the id of a workspace (a UUID), or default",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_an_address_without_a_path() {
        for good in ["eu-west-1=https://eu.example", "a=http://127.0.0.1:4000"] {
            assert!(region_url(good).is_ok(), "{good}");
        }
        for bad in [
            "https://eu.example",
            "eu=ftp://eu.example",
            "eu=//eu.example",
            "EU=https://eu.example",
            "=https://eu.example",
            "eu=https://",
            "eu=https://eu.example/",
            "eu=https://user@eu.example",
            "eu=https://eu.example?a",
            "eu=https://eu.example\\@evil.example",
        ] {
            assert!(region_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_workspace_is_a_uuid_or_has_the_one_name() {
        assert!(workspace("00000000-0000-7000-8064-656661756c74").is_ok() && workspace("default").is_ok());
        for bad in [
            "acme",
            "Default",
            "0000000000007000806465666175",
            "00000000-0000-7000-8064-65666175-c74",
        ] {
            assert!(workspace(bad).is_err(), "{bad}");
        }
    }
}
