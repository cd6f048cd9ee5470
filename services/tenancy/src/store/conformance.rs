//! What every store does. One visible test per case and store.

mod erasures;
mod exports;
mod invitations;
mod keys;
mod lifecycle;
mod members;
mod only;
mod roles;
mod rotations;
mod secrets;
mod settings;
mod tenants;
mod workspaces;

use std::sync::Arc;

use causeway_context::{UserId, WorkspaceId};
use causeway_contracts::Role;
use causeway_crypto::WrappedKey;
use causeway_outbox::{OutboxEvent, OutboxStore, Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::TenancyStore;
use crate::domain::{
    Email, Invitation, KeyState, Member, MemberChange, MemberRole, MemberStep, Membership, Ring, Secret,
    SecretHash, SecretKind, SecretName, StoredKey, Workspace, WorkspaceName,
};
use crate::page::Page;
use crate::refusal::Refusal;
use crate::store::StoreError;

/// A store and the outboxes in which it keeps its facts.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn TenancyStore>,
    pub(crate) outbox: Arc<dyn OutboxStore>,
    pub(crate) key_outbox: Arc<dyn OutboxStore>,
}

/// `$fresh` gives an empty store and what must live as long as it does; or nothing, where there is no such engine.
macro_rules! store_conformance {
    ($fresh:path) => {
        $crate::store::conformance::store_conformance!(@cases $fresh:
            a_workspace_is_found_with_its_owner,
            an_id_is_taken_once,
            a_renamed_workspace_keeps_the_rest,
            memberships_come_oldest_first_and_in_pages,
            members_come_in_pages,
            a_person_with_an_account_joins_once,
            a_new_role_is_seen_everywhere,
            a_member_that_left_belongs_no_more,
            what_the_actor_is_now_counts,
            a_workspace_that_is_not_there_has_no_members_to_change,
            two_owners_that_demote_each_other_leave_one,
            of_owners_that_leave_together_one_stays,
            an_invitation_is_found_by_its_secret_alone,
            invitations_come_in_pages,
            an_address_has_one_open_invitation,
            only_who_may_give_a_role_invites_into_it,
            who_accepts_becomes_a_member,
            of_many_who_accept_one_joins,
            an_invitation_that_ended_opens_nothing,
            a_member_uses_up_no_invitation,
            invitations_end_with_what_their_writer_may_give,
            a_role_is_made_changed_and_deleted,
            the_rules_of_roles_are_asked_with_the_workspace_held,
            a_role_that_somebody_has_stays,
            a_member_has_a_custom_role_and_what_it_holds_counts,
            an_invitation_dies_when_its_writer_holds_less_than_its_role,
            of_concurrent_changes_of_one_version_one_is_made,
            other_tenants_see_and_change_no_roles,
            settings_begin_untouched_and_change_by_field,
            a_membership_comes_with_the_policy_of_its_workspace,
            a_new_region_is_the_home_of_the_workspace,
            refused_settings_leave_nothing,
            a_change_of_settings_keeps_every_fact_of_it,
            concurrent_changes_of_settings_all_count,
            each_ring_has_keys_of_its_own,
            of_concurrent_first_keys_one_is_kept,
            a_key_needs_its_workspace,
            a_version_that_cannot_be_is_unknown,
            destroyed_keys_leave_nothing_and_come_never_back,
            keys_of_all_workspaces_are_wrapped_anew_unless_they_changed,
            one_rotation_at_a_time,
            versions_go_through_their_states_in_order,
            a_lease_is_for_one_and_ends,
            unreadable_rows_are_listed_once,
            rotations_come_newest_first,
            other_tenants_see_no_rotation,
            below_the_fence_nothing_is_written,
            only_what_is_still_the_same_is_sealed_anew,
            a_secret_is_found_by_its_name,
            a_secret_needs_its_workspace,
            only_the_next_version_replaces_a_secret,
            of_concurrent_replacements_one_is_kept,
            a_deleted_secret_is_gone,
            secrets_come_by_name_and_in_pages,
            other_tenants_see_nothing,
            other_tenants_change_nothing,
            other_tenants_see_no_people_and_no_settings,
            other_tenants_change_no_people_and_no_settings,
            the_first_owns_the_only_workspace_and_later_ones_read,
            of_many_first_ones_one_owns_the_only_workspace,
            each_change_leaves_one_fact,
            an_erasure_is_ordered_once_at_a_time,
            of_many_workers_one_has_an_erasure,
            what_is_buried_is_not_given_up,
            receipts_are_a_chain,
            an_owner_is_buried_only_beside_another_one,
            a_number_that_erased_somebody_else_erases_nobody,
            an_erased_workspace_is_gone_and_its_neighbour_is_not,
            an_erased_person_is_gone_and_the_workspace_is_not,
            an_export_shows_nothing_sealed,
            an_export_is_made_by_one_and_read_in_pieces,
            the_bytes_of_an_erased_export_are_on_a_list
        );
    };
    (@cases $fresh:path: $($case:ident),+) => { $(
        #[tokio::test(flavor = "multi_thread")]
        async fn $case() {
            let Some((fixture, _guard)) = $fresh().await else { return };
            $crate::store::conformance::$case(&fixture).await;
        }
    )+ };
}
pub(crate) use erasures::*;
pub(crate) use exports::*;
pub(crate) use invitations::*;
pub(crate) use keys::*;
pub(crate) use lifecycle::*;
pub(crate) use members::*;
pub(crate) use only::*;
pub(crate) use roles::*;
pub(crate) use rotations::*;
pub(crate) use secrets::*;
pub(crate) use settings::*;
pub(crate) use store_conformance;
pub(crate) use tenants::*;
pub(crate) use workspaces::*;

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
}

fn fact(workspace: WorkspaceId, action: &str) -> OutboxEvent {
    OutboxEvent {
        id: Uuid::now_v7(),
        workspace,
        action: action.to_owned(),
        actor_kind: "user".to_owned(),
        actor_id: "u".to_owned(),
        target_kind: "thing".to_owned(),
        target_id: "t".to_owned(),
        outcome: Outcome::Success,
        occurred_at: time(0),
        request_id: "r".to_owned(),
        service: "tenancy".to_owned(),
        details: serde_json::Map::new(),
    }
}

fn name(text: &str) -> SecretName {
    SecretName::parse(text).expect("a name")
}

fn all<P>() -> Page<P> {
    Page {
        size: 100,
        after: None,
    }
}

fn workspace_of(owner: UserId, seconds: i64) -> (Workspace, Member) {
    let workspace = Workspace {
        id: WorkspaceId::generate(),
        name: WorkspaceName::parse("Größe & Co.").expect("a name"),
        region: "eu-central-1".to_owned(),
        created_at: time(seconds),
        updated_at: time(seconds),
    };
    let member = Member {
        workspace: workspace.id,
        user: owner,
        role: Role::Owner.into(),
        joined_at: time(seconds),
    };
    (workspace, member)
}

fn key(workspace: WorkspaceId, version: u32) -> StoredKey {
    let wrapped = WrappedKey {
        key_id: "k".to_owned(),
        bytes: Uuid::new_v4().as_bytes().to_vec(),
    };
    StoredKey {
        workspace,
        ring: Ring::Data,
        version,
        state: KeyState::Active,
        wrapped: Some(wrapped),
        created_at: time(0),
        destroyed_at: None,
    }
}

/// Bytes that a column of sealed values takes.
pub(crate) fn envelope(filling: u8) -> Vec<u8> {
    let mut bytes = b"CWEV".to_vec();
    bytes.resize(causeway_crypto::OVERHEAD_BYTES + 1, filling);
    bytes
}

fn invitation(by: &Member, address: &str, role: impl Into<MemberRole>) -> Invitation {
    Invitation {
        workspace: by.workspace,
        id: Uuid::now_v7(),
        email: Email::parse(address).expect("an address"),
        role: role.into(),
        invited_by: by.user,
        created_at: time(10),
        expires_at: time(20),
    }
}

fn change(by: &Member, target: UserId, step: MemberStep) -> MemberChange {
    MemberChange {
        workspace: by.workspace,
        actor: by.user,
        target,
        step,
        at: time(10),
    }
}

/// The hash of a secret that nobody else has.
fn hash() -> SecretHash {
    let [left, right] = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes);
    std::array::from_fn(|index| {
        if index < 16 {
            left[index]
        } else {
            right[index - 16]
        }
    })
}

/// The rule that forbade it.
fn refusal<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Refusal {
    match answer {
        Err(StoreError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn secret(workspace: WorkspaceId, text: &str) -> Secret {
    Secret {
        workspace,
        id: Uuid::now_v7(),
        name: name(text),
        kind: SecretKind::Custom,
        version: 1,
        key_version: 1,
        sealed: envelope(255),
        created_at: time(0),
        updated_at: time(0),
    }
}

impl Fixture {
    pub(crate) fn new(
        store: Arc<dyn TenancyStore>,
        outbox: Arc<dyn OutboxStore>,
        key_outbox: Arc<dyn OutboxStore>,
    ) -> Self {
        Self {
            store,
            outbox,
            key_outbox,
        }
    }

    /// A workspace with a data key.
    async fn tenant(&self) -> (Workspace, Member) {
        let (workspace, owner) = workspace_of(UserId::generate(), 0);
        self.store
            .create_workspace(&workspace, &owner, fact(workspace.id, "workspace.created"))
            .await
            .expect("created");
        self.store
            .insert_key(&key(workspace.id, 1))
            .await
            .expect("inserted");
        (workspace, owner)
    }

    async fn stored(&self, workspace: WorkspaceId, text: &str) -> Secret {
        let secret = secret(workspace, text);
        self.store
            .insert_secret(&secret, fact(workspace, "secret.written"))
            .await
            .expect("inserted");
        secret
    }

    async fn change(&self, by: &Member, target: UserId, step: MemberStep) -> Result<Member, StoreError> {
        let change = change(by, target, step);
        let fact = fact(by.workspace, "member.changed");
        self.store.change_member(&change, fact).await
    }

    /// A person who has an account, and now also that role in the workspace of `by`.
    async fn colleague(&self, by: &Member, role: impl Into<MemberRole>) -> Member {
        let (_, somebody) = self.tenant().await;
        self.change(by, somebody.user, MemberStep::Join(role.into()))
            .await
            .expect("joined")
    }

    async fn invite(
        &self,
        by: &Member,
        address: &str,
        role: impl Into<MemberRole>,
    ) -> (Invitation, SecretHash) {
        let (invitation, hash) = (invitation(by, address, role), hash());
        let fact = fact(by.workspace, "invitation.created");
        self.store
            .insert_invitation(&invitation, &hash, fact)
            .await
            .expect("inserted");
        (invitation, hash)
    }

    async fn accept(
        &self,
        invitation: &Invitation,
        user: UserId,
        at: DateTime<Utc>,
    ) -> Result<Membership, StoreError> {
        let fact = fact(invitation.workspace, "invitation.accepted");
        self.store.accept_invitation(invitation, user, at, fact).await
    }

    async fn actions(&self) -> Vec<String> {
        let facts = self.outbox.unsent(1000).await.expect("read");
        facts.into_iter().map(|fact| fact.action).collect()
    }
}
