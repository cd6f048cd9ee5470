//! From where a request came to the door.

use std::net::IpAddr;

/// The longest name of a program that is carried.
const MAX_AGENT: usize = 256;

/// Who sent a request, as far as the door can tell: it knows the address, the rest is what the sender says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The address behind the proxies that are trusted.
    pub address: IpAddr,
    /// What the sender calls its program (`User-Agent`); empty when it does not say.
    pub agent: String,
}

impl Remote {
    /// A sender at that address; of a long name of a program, the beginning.
    pub fn new(address: IpAddr, agent: &str) -> Self {
        let fits = |text: &&str| {
            text.chars()
                .all(|letter| letter == ' ' || letter.is_ascii_graphic())
        };
        let agent = Some(agent).filter(fits).unwrap_or_default();
        Self {
            address: address.to_canonical(),
            agent: agent[..agent.len().min(MAX_AGENT)].to_owned(),
        }
    }

    /// The network of the address, which says less about a person: an IPv4 address without its last part, the first
    /// half of an IPv6 address.
    pub fn network(&self) -> String {
        match self.address {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                let network = IpAddr::from([a, b, c, 0, 0, 0, 0, 0]);
                format!("{network}/48")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_an_address_without_its_end() {
        let network = |text: &str| Remote::new(text.parse().expect("an address"), "").network();
        assert_eq!(network("198.51.100.7"), "198.51.100.0/24");
        assert_eq!(network("::ffff:198.51.100.7"), "198.51.100.0/24");
        assert_eq!(network("2001:db8:1:2:3::4"), "2001:db8:1::/48");
    }

    #[test]
    fn the_name_of_a_program_is_bounded_and_printable() {
        let agent = |text: &str| Remote::new(IpAddr::from([127, 0, 0, 1]), text).agent;
        assert_eq!(agent("curl/8.5"), "curl/8.5");
        assert_eq!(agent(&"x".repeat(1000)).len(), MAX_AGENT);
        assert_eq!(agent("a\nb"), "");
        assert_eq!(agent("\u{e9}"), "");
    }
}
