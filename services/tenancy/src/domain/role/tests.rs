use super::*;

fn set(names: &[&str]) -> PermissionSet {
    names.iter().collect()
}

fn named(name: &str) -> RoleName {
    RoleName::parse(name).expect("a name")
}

fn change(step: RoleStep) -> RoleChange {
    RoleChange {
        workspace: WorkspaceId::generate(),
        actor: UserId::generate(),
        role: RoleId(Uuid::now_v7()),
        step,
        at: DateTime::UNIX_EPOCH,
    }
}

fn holding(names: &[&str]) -> CustomRole {
    let made = change(RoleStep::Create(named("Support"), set(names)));
    made.apply(standing(Some(Role::Owner.into()), None))
        .expect("made")
}

fn standing(actor: Option<HeldRole>, role: Option<CustomRole>) -> RoleStanding {
    RoleStanding {
        actor,
        role,
        roles: 0,
        name_taken: false,
        in_use: false,
    }
}

fn widen(names: &[&str]) -> RoleStep {
    RoleStep::Update {
        version: None,
        name: None,
        permissions: Some(set(names)),
    }
}

/// RBAC-04.
#[test]
fn nobody_puts_a_permission_into_a_role_without_holding_it() {
    let admin = Some(Role::Admin.into());
    for step in [
        RoleStep::Create(named("Eraser"), set(&["secrets.read", "erasures.write"])),
        widen(&["erasures.write"]),
    ] {
        let before = matches!(step, RoleStep::Update { .. }).then(|| holding(&["secrets.read"]));
        let answer = change(step.clone()).apply(standing(admin, before.clone()));
        assert_eq!(answer, Err(Refusal::PermissionNotHeld));
        assert!(
            change(step)
                .apply(standing(Some(Role::Owner.into()), before))
                .is_ok()
        );
    }
}

#[test]
fn nobody_touches_a_role_that_holds_more_than_the_own_one() {
    let above = holding(&["erasures.write"]);
    for step in [widen(&[]), RoleStep::Delete] {
        let answer = change(step).apply(standing(Some(Role::Admin.into()), Some(above.clone())));
        assert_eq!(answer, Err(Refusal::RoleAboveOwn));
    }
    let manager = holding(&["roles.write", "secrets.read"]).held();
    let more = change(widen(&["secrets.read", "secrets.write"]));
    assert_eq!(
        more.apply(standing(Some(manager), Some(holding(&["secrets.read"])))),
        Err(Refusal::PermissionNotHeld),
        "a custom role gives what it holds and no more"
    );
}

#[test]
fn who_may_not_write_roles_makes_changes_and_deletes_none() {
    for actor in [None, Some(Role::Viewer.into()), Some(Role::Editor.into())] {
        for step in [
            RoleStep::Create(named("x"), set(&[])),
            widen(&[]),
            RoleStep::Delete,
        ] {
            let answer = change(step).apply(standing(actor, Some(holding(&[]))));
            assert_eq!(answer, Err(Refusal::NotAllowed));
        }
    }
}

#[test]
fn a_change_of_another_version_is_refused() {
    let update = |version| {
        change(RoleStep::Update {
            version: Some(version),
            name: Some(named("Other")),
            permissions: None,
        })
    };
    let before = holding(&["secrets.read"]);
    let owner = Some(Role::Owner.into());
    let after = update(1)
        .apply(standing(owner, Some(before.clone())))
        .expect("changed");
    assert_eq!((after.version, after.name.as_str()), (2, "Other"));
    assert_eq!(after.permissions, before.permissions, "what is not named stays");
    assert_eq!(
        update(1).apply(standing(owner, Some(after))),
        Err(Refusal::RoleChanged)
    );
}

#[test]
fn names_are_taken_once_and_roles_in_use_stay() {
    let owner = Some(Role::Owner.into());
    let taken = RoleStanding {
        name_taken: true,
        ..standing(owner, None)
    };
    let create = change(RoleStep::Create(named("x"), set(&[])));
    assert_eq!(create.apply(taken), Err(Refusal::RoleExists));
    let full = RoleStanding {
        roles: MOST_ROLES,
        ..standing(owner, None)
    };
    assert_eq!(create.apply(full), Err(Refusal::TooManyRoles));
    let used = RoleStanding {
        in_use: true,
        ..standing(owner, Some(holding(&[])))
    };
    assert_eq!(change(RoleStep::Delete).apply(used), Err(Refusal::RoleInUse));
    for step in [widen(&[]), RoleStep::Delete] {
        let gone = change(step).apply(standing(owner, None));
        assert_eq!(gone, Err(Refusal::RoleNotFound));
    }
}

#[test]
fn the_names_of_built_in_roles_are_reserved() {
    for reserved in ["owner", "Owner", " ADMIN ", "editor", "viewer"] {
        assert!(RoleName::parse(reserved).is_err(), "{reserved}");
    }
    for bad in ["", "  ", "a\nb", "x".repeat(61).as_str()] {
        assert!(RoleName::parse(bad).is_err(), "{bad:?}");
    }
    assert_eq!(named(" Käse ").as_str(), "Käse");
    assert_eq!(named("KÄSE").key(), named("käse").key());
}

#[test]
fn only_an_owner_is_above_an_owner() {
    let everything = HeldRole {
        role: MemberRole::Custom(RoleId(Uuid::now_v7())),
        permissions: PermissionSet::all(),
    };
    assert!(!everything.covers(&Role::Owner.into()));
    assert!(everything.covers(&Role::Admin.into()));
    assert!(HeldRole::from(Role::Owner).covers(&everything));
    assert!(!HeldRole::from(Role::Admin).covers(&everything));
    for below in Role::ALL {
        for above in Role::ALL {
            assert_eq!(HeldRole::from(above).covers(&below.into()), below <= above);
        }
    }
}

#[test]
fn a_role_is_named_by_its_word_or_its_id() {
    for role in [
        MemberRole::BuiltIn(Role::Editor),
        MemberRole::Custom(RoleId(Uuid::now_v7())),
    ] {
        assert_eq!(role.to_string().parse(), Ok(role));
    }
    for bad in ["", "Owner", "custom", "support"] {
        assert!(bad.parse::<MemberRole>().is_err(), "{bad}");
    }
}
