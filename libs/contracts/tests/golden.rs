//! The permission catalogue against the files beside this test. Both are read by people when they change: what was
//! published once stays, and what a built-in role holds changes in the open (RBAC-02, RBAC-03).

#[path = "../build/catalogue.rs"]
#[expect(dead_code, reason = "the build uses the rest")]
mod catalogue;

use causeway_contracts::{CATALOGUE, Permission, PermissionSet, Role};

const PUBLISHED: &str = include_str!("golden/permissions.tsv");
const MATRIX: &str = include_str!("golden/roles.tsv");

/// Lines are only ever added to `golden/permissions.tsv`: an id that is in it never means something else.
#[test]
fn no_id_is_given_twice_and_no_name_changes_its_id() {
    let ours = catalogue::parse(include_str!("../permissions.tsv")).expect("a catalogue");
    let ours: Vec<String> = ours
        .iter()
        .map(|entry| format!("{}\t{}", entry.id, entry.name))
        .collect();
    let published: Vec<&str> = PUBLISHED.lines().collect();
    for line in &published {
        assert!(
            ours.iter().any(|own| own == line),
            "{line:?} was published: its line in permissions.tsv stays, as `removed` if need be"
        );
    }
    let new = &ours[published.len()..];
    assert!(
        new.is_empty(),
        "add to the end of golden/permissions.tsv:\n{}",
        new.join("\n")
    );
    assert_eq!(ours, published, "the order is that of the ids");
}

#[test]
fn every_permission_of_the_catalogue_is_found_by_its_name() {
    for entry in CATALOGUE {
        assert_eq!(Permission::named(entry.name), Some(entry));
        assert!(
            !entry.description.is_empty() && entry.lowest_role().is_some(),
            "{}",
            entry.name
        );
    }
}

#[test]
fn what_built_in_roles_hold_is_what_was_reviewed() {
    let mut entries: Vec<&Permission> = CATALOGUE.iter().collect();
    entries.sort_unstable_by_key(|entry| entry.name);
    let mut matrix = format!("permission\t{}\n", Role::ALL.map(Role::as_str).join("\t"));
    for entry in entries {
        let holds = Role::ALL.map(|role| match PermissionSet::of_role(role).holds(entry.id) {
            true => "yes",
            false => "-",
        });
        matrix.push_str(&format!("{}\t{}\n", entry.name, holds.join("\t")));
    }
    assert_eq!(matrix, MATRIX, "golden/roles.tsv should be:\n{matrix}");
}
