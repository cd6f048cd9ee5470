//! Who may change who belongs to a workspace. One place for the rules: every store asks here while it holds the
//! workspace, so that two changes at the same time cannot both be right.

use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::{PermissionSet, Role};
use causeway_outbox::OutboxEvent;
use causeway_revocation::{Ended, Revocation};
use chrono::{DateTime, TimeDelta, Utc};

use super::{HeldRole, MemberRole};
use crate::refusal::Refusal;

/// The permission to change other people's membership.
pub(crate) const MEMBERS_WRITE: &str = "members.write";
/// The permission to write invitations.
pub(crate) const INVITATIONS_WRITE: &str = "invitations.write";

/// A change of one person's membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberChange {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Who asks for it.
    pub actor: UserId,
    /// Whose membership.
    pub target: UserId,
    /// What becomes of it.
    pub step: MemberStep,
    /// When.
    pub at: DateTime<Utc>,
}

/// What becomes of a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberStep {
    /// It begins.
    Join(MemberRole),
    /// It has another role.
    Become(MemberRole),
    /// It ends.
    Leave,
}

/// How things stand in the workspace before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The role of who asks.
    pub actor: Option<HeldRole>,
    /// The role of whom it concerns.
    pub target: Option<HeldRole>,
    /// What the role holds that is to be given, if it is a custom one of the workspace.
    pub custom: Option<PermissionSet>,
    /// Whether anybody else is an owner.
    pub other_owners: bool,
    /// Whether the one whom it concerns belongs to any workspace at all.
    pub known: bool,
}

/// By how much a revocation reaches beyond the change: who reads the old role while the change commits has read it by
/// then. Credentials of the new role are made after it, for the change is not answered before.
pub(crate) const SETTLED: TimeDelta = TimeDelta::milliseconds(100);

impl MemberChange {
    /// The end of the credentials that say the old role, of a change that was made at `at`.
    pub(crate) fn voided(&self, at: DateTime<Utc>, life: TimeDelta) -> Revocation {
        Revocation::before(Ended::Member(self.workspace, self.target), at + SETTLED, life)
    }

    /// Whether the rules allow the change.
    ///
    /// # Errors
    /// The rule that does not.
    pub(crate) fn check(&self, standing: &Standing) -> Result<(), Refusal> {
        let itself = self.actor == self.target;
        let given = self.step.role().map(|role| HeldRole::of(role, standing.custom));
        if !(itself && self.step == MemberStep::Leave) {
            may_manage(standing.actor, MEMBERS_WRITE)?;
        }
        let given = match given {
            Some(role) => Some(role.ok_or(Refusal::RoleNotFound)?),
            None => None,
        };
        if let Some(given) = given {
            may_grant(standing.actor, MEMBERS_WRITE, &given)?;
        }
        if let MemberStep::Join(_) = self.step {
            return match standing.target {
                Some(_) => Err(Refusal::MemberExists),
                None if standing.known => Ok(()),
                None => Err(Refusal::UserNotFound),
            };
        }
        let before = standing.target.ok_or(Refusal::MemberNotFound)?;
        if !itself && !standing.actor.is_some_and(|actor| actor.covers(&before)) {
            return Err(Refusal::RoleAboveOwn);
        }
        let remains_owner = self.step.role().is_some_and(|role| role == Role::Owner);
        if before.role == Role::Owner && !remains_owner && !standing.other_owners {
            return Err(Refusal::LastOwner);
        }
        Ok(())
    }

    /// The fact with what changed.
    pub(crate) fn describe(&self, fact: OutboxEvent, before: Option<HeldRole>) -> OutboxEvent {
        let fact = match before {
            Some(before) => fact.detail("from", before.role.to_string()),
            None => fact,
        };
        match self.step.role() {
            Some(role) => fact.detail("to", role.to_string()),
            None => fact,
        }
    }
}

impl MemberStep {
    /// The role afterwards.
    pub(crate) fn role(self) -> Option<MemberRole> {
        match self {
            Self::Join(role) | Self::Become(role) => Some(role),
            Self::Leave => None,
        }
    }

    /// Whether credentials say a role that the person has no more.
    pub(crate) fn voids(self) -> bool {
        match self {
            Self::Join(_) => false,
            Self::Become(_) | Self::Leave => true,
        }
    }
}

/// Whether a member may do that to who belongs to the workspace.
///
/// # Errors
/// [`Refusal::NotAllowed`].
fn may_manage(actor: Option<HeldRole>, permission: &str) -> Result<HeldRole, Refusal> {
    actor
        .filter(|actor| actor.holds(permission))
        .ok_or(Refusal::NotAllowed)
}

/// Whether a member with the role `actor` may make somebody `role`, by that permission (RBAC-04).
///
/// # Errors
/// The rule that forbids it.
pub(crate) fn may_grant(actor: Option<HeldRole>, permission: &str, role: &HeldRole) -> Result<(), Refusal> {
    match may_manage(actor, permission)?.covers(role) {
        true => Ok(()),
        false => Err(Refusal::RoleAboveOwn),
    }
}

#[cfg(test)]
mod tests {
    use Role::{Admin, Editor, Owner, Viewer};

    use super::*;

    const STEPS: [MemberStep; 9] = [
        MemberStep::Join(MemberRole::BuiltIn(Viewer)),
        MemberStep::Join(MemberRole::BuiltIn(Editor)),
        MemberStep::Join(MemberRole::BuiltIn(Admin)),
        MemberStep::Join(MemberRole::BuiltIn(Owner)),
        MemberStep::Become(MemberRole::BuiltIn(Viewer)),
        MemberStep::Become(MemberRole::BuiltIn(Editor)),
        MemberStep::Become(MemberRole::BuiltIn(Admin)),
        MemberStep::Become(MemberRole::BuiltIn(Owner)),
        MemberStep::Leave,
    ];

    fn change(step: MemberStep, itself: bool) -> MemberChange {
        let actor = UserId::generate();
        MemberChange {
            workspace: WorkspaceId::generate(),
            actor,
            target: if itself { actor } else { UserId::generate() },
            step,
            at: DateTime::UNIX_EPOCH,
        }
    }

    fn standing(actor: Option<Role>, target: Option<Role>) -> Standing {
        Standing {
            actor: actor.map(Into::into),
            target: target.map(Into::into),
            custom: None,
            other_owners: true,
            known: true,
        }
    }

    #[test]
    fn nobody_gives_or_touches_a_role_above_the_own_one() {
        for actor in [Admin, Owner] {
            for target in Role::ALL {
                for role in Role::ALL {
                    let answer = change(MemberStep::Become(MemberRole::BuiltIn(role)), false)
                        .check(&standing(Some(actor), Some(target)));
                    let allowed = role <= actor && target <= actor;
                    assert_eq!(answer.is_ok(), allowed, "{actor:?} makes {target:?} {role:?}");
                }
                let answer = change(MemberStep::Leave, false).check(&standing(Some(actor), Some(target)));
                assert_eq!(answer.is_ok(), target <= actor, "{actor:?} removes {target:?}");
            }
            for role in Role::ALL {
                let answer = change(MemberStep::Join(MemberRole::BuiltIn(role)), false)
                    .check(&standing(Some(actor), None));
                assert_eq!(answer.is_ok(), role <= actor, "{actor:?} adds {role:?}");
            }
        }
    }

    #[test]
    fn below_admin_and_outside_nothing_can_be_done_to_others() {
        for actor in [None, Some(Viewer), Some(Editor)] {
            for (step, target) in STEPS
                .into_iter()
                .flat_map(|step| Role::ALL.map(|role| (step, role)))
            {
                let answer = change(step, false).check(&standing(actor, Some(target)));
                assert_eq!(answer, Err(Refusal::NotAllowed), "{actor:?} {step:?}");
            }
        }
    }

    #[test]
    fn a_member_can_go_and_cannot_raise_itself() {
        for role in Role::ALL {
            let own = standing(Some(role), Some(role));
            assert_eq!(change(MemberStep::Leave, true).check(&own), Ok(()), "{role:?}");
            for more in Role::ALL.into_iter().filter(|more| *more > role) {
                assert!(
                    change(MemberStep::Become(MemberRole::BuiltIn(more)), true)
                        .check(&own)
                        .is_err(),
                    "{role:?} to {more:?}"
                );
            }
        }
        let gone = change(MemberStep::Leave, true).check(&standing(None, None));
        assert_eq!(gone, Err(Refusal::MemberNotFound));
    }

    #[test]
    fn the_last_owner_stays_one() {
        let last = Standing {
            other_owners: false,
            ..standing(Some(Owner), Some(Owner))
        };
        for itself in [true, false] {
            for step in [
                MemberStep::Leave,
                MemberStep::Become(MemberRole::BuiltIn(Admin)),
                MemberStep::Become(MemberRole::BuiltIn(Viewer)),
            ] {
                assert_eq!(
                    change(step, itself).check(&last),
                    Err(Refusal::LastOwner),
                    "{step:?}"
                );
            }
            assert_eq!(
                change(MemberStep::Become(MemberRole::BuiltIn(Owner)), itself).check(&last),
                Ok(())
            );
        }
    }

    #[test]
    fn only_somebody_known_joins_and_only_once() {
        let join = change(MemberStep::Join(MemberRole::BuiltIn(Viewer)), false);
        let unknown = Standing {
            known: false,
            ..standing(Some(Owner), None)
        };
        assert_eq!(join.check(&unknown), Err(Refusal::UserNotFound));
        let member = standing(Some(Owner), Some(Viewer));
        assert_eq!(join.check(&member), Err(Refusal::MemberExists));
    }

    #[test]
    fn a_custom_role_is_given_by_who_holds_all_of_it() {
        let custom = MemberRole::Custom(crate::domain::RoleId(uuid::Uuid::now_v7()));
        let give = |actor: HeldRole, names: &[&str]| {
            let standing = Standing {
                actor: Some(actor),
                target: HeldRole::of(custom, Some(PermissionSet::EMPTY)),
                custom: Some(names.iter().collect()),
                ..standing(None, None)
            };
            change(MemberStep::Become(custom), false).check(&standing)
        };
        assert_eq!(give(Admin.into(), &["secrets.read", "members.write"]), Ok(()));
        assert_eq!(
            give(Admin.into(), &["erasures.write"]),
            Err(Refusal::RoleAboveOwn)
        );
        assert_eq!(give(Editor.into(), &[]), Err(Refusal::NotAllowed));
        let manager = HeldRole {
            role: custom,
            permissions: ["members.write", "secrets.read"].iter().collect(),
        };
        assert_eq!(give(manager, &["secrets.read"]), Ok(()));
        assert_eq!(give(manager, &["secrets.write"]), Err(Refusal::RoleAboveOwn));
        let above = Standing {
            actor: Some(manager),
            ..standing(None, Some(Viewer))
        };
        let touched = change(MemberStep::Leave, false).check(&above);
        assert_eq!(
            touched,
            Err(Refusal::RoleAboveOwn),
            "a viewer reads more than that"
        );
        let unknown = change(MemberStep::Become(custom), false);
        assert_eq!(
            unknown.check(&standing(Some(Owner), Some(Viewer))),
            Err(Refusal::RoleNotFound)
        );
    }
}
