//! A value belongs to one place (KEY-03): moved to another row, column, table, tenant, version or purpose it does not open.

use super::*;

const TABLES: [&str; 3] = ["tenancy.secrets", "tenancy.settings", "t"];
const COLUMNS: [&str; 2] = ["value", "values"];
const ROWS: [&str; 2] = ["openai", "openai2"];
const PURPOSES: [&str; 2] = ["secret", "setting"];

fn every_place() -> Vec<Associated<'static>> {
    let mut places = Vec::new();
    for workspace in [1, 2].map(Uuid::from_u128) {
        for version in [1, 2] {
            for table in TABLES {
                for column in COLUMNS {
                    for row in ROWS {
                        places.extend(PURPOSES.map(|purpose| Associated {
                            workspace,
                            table,
                            column,
                            row,
                            version,
                            purpose,
                        }));
                    }
                }
            }
        }
    }
    places
}

#[test]
fn no_two_of_96_places_are_interchangeable_under_one_key() {
    let places = every_place();
    assert_eq!(places.len(), 96);
    let envelopes: Vec<_> = places
        .iter()
        .map(|place| seal(&key(1), 1, CONTENT, place).expect("seals"))
        .collect();
    for (home, envelope) in envelopes.iter().enumerate() {
        for (away, place) in places.iter().enumerate() {
            let opened = open(&key(1), envelope, place).map(|content| content.to_vec());
            if home == away {
                assert_eq!(opened.as_deref(), Ok(CONTENT));
            } else {
                assert_eq!(opened, Err(CryptoError::Altered), "{home} moved to {away}");
            }
        }
    }
}

/// A place in words of its own, for properties.
#[derive(Debug, Clone, PartialEq)]
struct Owned {
    workspace: u128,
    version: u32,
    texts: [String; 4],
}

impl Owned {
    fn place(&self) -> Associated<'_> {
        let [table, column, row, purpose] = &self.texts;
        Associated {
            workspace: Uuid::from_u128(self.workspace),
            table,
            column,
            row,
            version: self.version,
            purpose,
        }
    }
}

/// Few letters and small numbers, so that two places share most of their parts and often all letters.
fn any_place() -> impl Strategy<Value = Owned> {
    let text = || "[ab.]{1,3}";
    (0..3_u128, 0..3_u32, [text(), text(), text(), text()]).prop_map(|(workspace, version, texts)| Owned {
        workspace,
        version,
        texts,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_value_opens_at_the_place_it_was_sealed_for_and_at_no_other(home in any_place(), away in any_place()) {
        let envelope = seal(&key(1), 1, CONTENT, &home.place()).expect("seals");
        let opened = open(&key(1), &envelope, &away.place()).map(|content| content.to_vec());
        let expected = if home == away { Ok(CONTENT.to_vec()) } else { Err(CryptoError::Altered) };
        prop_assert_eq!(opened, expected);
    }

    #[test]
    fn two_sealed_values_share_no_part(home in any_place(), away in any_place(), cut in PREFIX_BYTES + 1..100) {
        let [one, two] = [&home, &away].map(|at| seal(&key(1), 1, CONTENT, &at.place()).expect("seals"));
        let spliced = [&one[..cut], &two[cut..]].concat();
        // Near an end the piece may be so short that it is the same in both by chance.
        prop_assume!(spliced != one && spliced != two);
        for at in [&home, &away] {
            prop_assert!(open(&key(1), &spliced, &at.place()).is_err());
        }
    }

    #[test]
    fn each_tenant_has_its_own_key_and_neither_opens_the_others(home in any_place(), byte in 2_u8..) {
        let envelope = seal(&key(1), 1, CONTENT, &home.place()).expect("seals");
        prop_assert_eq!(open(&key(byte), &envelope, &home.place()), Err(CryptoError::WrongKey));
    }
}
