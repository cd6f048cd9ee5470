//! What may be allowed: a catalogue whose ids are for ever, and sets of them that fit into a token (RBAC-03).

use std::collections::HashMap;
use std::fmt;
use std::ops::{BitAnd, BitOr, Sub};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{METHODS, Role, Rule};

include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// A permission of the catalogue.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Permission {
    /// Its id, which no other permission ever gets.
    pub id: u16,
    /// Such as `secrets.write`.
    pub name: &'static str,
    /// What it allows, for people.
    pub description: &'static str,
}

impl Permission {
    /// The permission of that name; nothing for one that does not exist, or not any more.
    pub fn named(name: &str) -> Option<&'static Self> {
        static BY_NAME: LazyLock<HashMap<&'static str, &'static Permission>> =
            LazyLock::new(|| CATALOGUE.iter().map(|entry| (entry.name, entry)).collect());
        BY_NAME.get(name).copied()
    }

    /// The lowest built-in role that holds it.
    pub fn lowest_role(&self) -> Option<Role> {
        METHODS.iter().find_map(|method| match method.rule {
            Rule::Permission { id, role, .. } if id == self.id => Some(role),
            Rule::Permission { .. } | Rule::Public | Rule::Authenticated | Rule::Internal => None,
        })
    }
}

/// Permissions of the catalogue: one bit each. It cannot hold one that does not exist, whatever it was read from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PermissionSet([u64; WORDS]);

impl PermissionSet {
    /// No permission.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Every permission of the catalogue.
    pub fn all() -> Self {
        static ALL: LazyLock<PermissionSet> = LazyLock::new(|| {
            let mut all = PermissionSet::EMPTY;
            CATALOGUE.iter().for_each(|entry| all.set(entry.id));
            all
        });
        *ALL
    }

    /// What a built-in role holds.
    pub fn of_role(role: Role) -> Self {
        static BY_ROLE: LazyLock<[PermissionSet; 4]> = LazyLock::new(|| {
            Role::ALL.map(|role| {
                let held = |entry: &&Permission| entry.lowest_role().is_some_and(|lowest| lowest <= role);
                CATALOGUE
                    .iter()
                    .filter(held)
                    .fold(PermissionSet::EMPTY, |mut set, entry| {
                        set.set(entry.id);
                        set
                    })
            })
        });
        BY_ROLE[role as usize]
    }

    fn set(&mut self, id: u16) {
        if let Some(word) = self.0.get_mut(usize::from(id) / 64) {
            *word |= 1 << (id % 64);
        }
    }

    /// Whether the permission with that id is in it: one look at one bit.
    pub const fn holds(&self, id: u16) -> bool {
        // `get` is not const for arrays.
        let place = id as usize / 64;
        place < WORDS && self.0[place] >> (id % 64) & 1 == 1
    }

    /// Whether the permission of that name is in it.
    pub fn contains(&self, name: &str) -> bool {
        Permission::named(name).is_some_and(|permission| self.holds(permission.id))
    }

    /// Whether it holds everything that `other` does.
    pub fn includes(&self, other: &Self) -> bool {
        *other - *self == Self::EMPTY
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// How many it holds.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// The names, by id.
    pub fn iter(&self) -> impl Iterator<Item = &'static str> + '_ {
        CATALOGUE
            .iter()
            .filter(|entry| self.holds(entry.id))
            .map(|entry| entry.name)
    }

    /// The names, by id.
    pub fn names(&self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }

    /// The names with `between` between them.
    pub fn join(&self, between: &str) -> String {
        self.iter().collect::<Vec<_>>().join(between)
    }

    /// Narrowed to scopes: all of it when there are none. A scope that names nothing allows nothing (TOK-03).
    #[must_use]
    pub fn narrowed<S: AsRef<str>>(self, scopes: &[S]) -> Self {
        if scopes.is_empty() {
            return self;
        }
        self & scopes.iter().collect()
    }

    /// The bits, those of the lowest ids first, without zeros at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        let length = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        bytes.truncate(length);
        bytes
    }

    /// The set of those bits. What is not in the catalogue is left out: an id of a newer release grants nothing here.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut words = [0; WORDS];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_le_bytes(whole);
        }
        Self(words) & Self::all()
    }

    /// The bits in base64url, as a token says them.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.to_bytes())
    }

    /// The set of a text that [`PermissionSet::encode`] wrote; nothing for any other text.
    pub fn decode(text: &str) -> Self {
        // Ids are u16: what is longer than all of them is no set, and is not decoded.
        if text.len() > usize::from(u16::MAX) {
            return Self::EMPTY;
        }
        URL_SAFE_NO_PAD
            .decode(text)
            .map_or(Self::EMPTY, |bytes| Self::from_bytes(&bytes))
    }
}

impl BitAnd for PermissionSet {
    type Output = Self;

    fn bitand(mut self, other: Self) -> Self {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(one, other)| *one &= other);
        self
    }
}

impl BitOr for PermissionSet {
    type Output = Self;

    fn bitor(mut self, other: Self) -> Self {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(one, other)| *one |= other);
        self
    }
}

impl Sub for PermissionSet {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(one, other)| *one &= !other);
        self
    }
}

/// Names that do not exist are left out.
impl<S: AsRef<str>> FromIterator<S> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut set = Self::EMPTY;
        for name in names {
            if let Some(permission) = Permission::named(name.as_ref()) {
                set.set(permission.id);
            }
        }
        set
    }
}

impl fmt::Debug for PermissionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// So that tests can say what a set holds.
impl<const N: usize> PartialEq<[&str; N]> for PermissionSet {
    fn eq(&self, names: &[&str; N]) -> bool {
        self.iter().eq(names.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::permissions_of;

    #[test]
    fn a_built_in_role_holds_the_same_as_a_set_and_by_name() {
        for role in Role::ALL {
            let mut names: Vec<&str> = PermissionSet::of_role(role).iter().collect();
            names.sort_unstable();
            assert_eq!(names, permissions_of(role), "{role:?}");
        }
        assert_eq!(PermissionSet::of_role(Role::Owner), PermissionSet::all());
    }

    #[test]
    fn what_does_not_exist_is_never_granted() {
        let every_bit = PermissionSet::from_bytes(&[0xFF; 8192]);
        assert_eq!(every_bit, PermissionSet::all(), "RBAC-03");
        assert!((0..=u16::MAX).all(|id| every_bit.holds(id) == CATALOGUE.iter().any(|entry| entry.id == id)));
        let names: PermissionSet = ["secrets.read", "made.up", ""].into_iter().collect();
        assert_eq!(names, ["secrets.read"]);
        assert!(!every_bit.contains("made.up"));
    }

    #[test]
    fn only_the_text_of_a_set_is_one() {
        for text in [
            "=",
            "A",
            "AA==",
            "a b",
            "ä",
            "____=",
            "A".repeat(100_000).as_str(),
        ] {
            assert_eq!(PermissionSet::decode(text), PermissionSet::EMPTY, "{text:.9}");
        }
    }

    #[test]
    fn scopes_narrow_and_never_widen() {
        let held = PermissionSet::of_role(Role::Viewer);
        assert_eq!(held.narrowed::<&str>(&[]), held);
        assert_eq!(
            held.narrowed(&["secrets.read", "workspaces.write"]),
            ["secrets.read"]
        );
        assert_eq!(held.narrowed(&["made.up"]), PermissionSet::EMPTY);
    }

    proptest! {
        #[test]
        fn a_set_survives_its_text(chosen in proptest::collection::vec(any::<bool>(), CATALOGUE.len())) {
            let names = CATALOGUE.iter().zip(&chosen).filter(|(_, chosen)| **chosen).map(|(entry, _)| entry.name);
            let set: PermissionSet = names.clone().collect();
            prop_assert_eq!(PermissionSet::decode(&set.encode()), set);
            prop_assert_eq!(set.names(), names.map(str::to_owned).collect::<Vec<_>>());
            prop_assert!(PermissionSet::all().includes(&set));
        }

        #[test]
        fn any_text_is_some_set(text in "\\PC{0,40}") {
            prop_assert!(PermissionSet::all().includes(&PermissionSet::decode(&text)));
        }
    }
}
