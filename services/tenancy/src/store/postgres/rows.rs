//! Tables and rows.

use causeway_context::{RateTier, UserId, WorkspaceId};
use causeway_contracts::Role;
use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use crate::domain::{
    AiModel, AiProvider, AiSettings, BaseUrl, Email, Invitation, Member, MemberRole, MfaPolicy,
    RetentionDays, RoleId, Secret, SecretKind, SecretName, Settings, Workspace, WorkspaceName,
};
use crate::store::StoreError;

diesel::table! {
    tenancy.workspaces (workspace_id) {
        workspace_id -> Uuid,
        name -> Text,
        region -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    tenancy.members (workspace_id, user_id) {
        workspace_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        joined_at -> Timestamptz,
        custom_role -> Nullable<Uuid>,
    }
}

diesel::table! {
    tenancy.membership_index (user_id, workspace) {
        user_id -> Uuid,
        workspace -> Uuid,
        joined_at -> Timestamptz,
    }
}

diesel::table! {
    tenancy.invitations (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        email -> Text,
        role -> Text,
        invited_by -> Uuid,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        custom_role -> Nullable<Uuid>,
    }
}

diesel::table! {
    tenancy.roles (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        name -> Text,
        name_key -> Text,
        permissions -> Array<Text>,
        version -> Integer,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    tenancy.invitation_index (secret_hash) {
        secret_hash -> Binary,
        workspace -> Uuid,
        invitation -> Uuid,
    }
}

diesel::table! {
    tenancy.settings (workspace_id) {
        workspace_id -> Uuid,
        ai_provider -> Nullable<Text>,
        ai_model -> Nullable<Text>,
        ai_base_url -> Nullable<Text>,
        ai_api_key_secret -> Nullable<Text>,
        mfa_policy -> Text,
        retention_days -> Integer,
        rate_tier -> Text,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    tenancy.secrets (workspace_id, name) {
        workspace_id -> Uuid,
        name -> Text,
        id -> Uuid,
        kind -> Text,
        version -> Integer,
        key_version -> Integer,
        sealed -> Binary,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::joinable!(members -> workspaces (workspace_id));
diesel::joinable!(settings -> workspaces (workspace_id));
diesel::allow_tables_to_appear_in_same_query!(workspaces, members, settings);

/// What stands in the column `role` of who has a custom one, whose id is in a column of its own.
const CUSTOM: &str = "custom";

pub(super) const fn word(role: MemberRole) -> &'static str {
    match role {
        MemberRole::BuiltIn(role) => role.as_str(),
        MemberRole::Custom(_) => CUSTOM,
    }
}

pub(super) const fn custom(role: MemberRole) -> Option<Uuid> {
    match role {
        MemberRole::BuiltIn(_) => None,
        MemberRole::Custom(RoleId(id)) => Some(id),
    }
}

fn role(word: &str, custom: Option<Uuid>) -> Option<MemberRole> {
    match custom {
        Some(id) if word == CUSTOM => Some(MemberRole::Custom(RoleId(id))),
        Some(_) => None,
        None => Role::parse(word).map(MemberRole::BuiltIn),
    }
}

/// A version as the database keeps it.
pub(super) fn stored(version: u32) -> Result<i32, StoreError> {
    i32::try_from(version).map_err(|error| StoreError::Corrupt(error.into()))
}

pub(super) fn loaded(version: i32) -> Result<u32, StoreError> {
    u32::try_from(version).map_err(|error| StoreError::Corrupt(error.into()))
}

pub(super) fn corrupt(what: &'static str) -> StoreError {
    StoreError::Corrupt(what.into())
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = workspaces, check_for_backend(diesel::pg::Pg))]
pub(super) struct WorkspaceRow {
    pub(super) workspace_id: Uuid,
    pub(super) name: String,
    pub(super) region: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl From<&Workspace> for WorkspaceRow {
    fn from(workspace: &Workspace) -> Self {
        Self {
            workspace_id: workspace.id.0,
            name: workspace.name.as_str().to_owned(),
            region: workspace.region.clone(),
            created_at: workspace.created_at,
            updated_at: workspace.updated_at,
        }
    }
}

impl TryFrom<WorkspaceRow> for Workspace {
    type Error = StoreError;

    fn try_from(row: WorkspaceRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: WorkspaceId(row.workspace_id),
            name: WorkspaceName::parse(&row.name).map_err(|_| corrupt("name of a workspace"))?,
            region: row.region,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = members, check_for_backend(diesel::pg::Pg))]
pub(super) struct MemberRow {
    pub(super) workspace_id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) role: String,
    pub(super) joined_at: DateTime<Utc>,
    pub(super) custom_role: Option<Uuid>,
}

impl From<&Member> for MemberRow {
    fn from(member: &Member) -> Self {
        Self {
            workspace_id: member.workspace.0,
            user_id: member.user.0,
            role: word(member.role).to_owned(),
            joined_at: member.joined_at,
            custom_role: custom(member.role),
        }
    }
}

impl TryFrom<MemberRow> for Member {
    type Error = StoreError;

    fn try_from(row: MemberRow) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: WorkspaceId(row.workspace_id),
            user: UserId(row.user_id),
            role: role(&row.role, row.custom_role).ok_or_else(|| corrupt("role of a member"))?,
            joined_at: row.joined_at,
        })
    }
}

#[derive(Insertable)]
#[diesel(table_name = membership_index)]
pub(super) struct IndexRow {
    user_id: Uuid,
    workspace: Uuid,
    joined_at: DateTime<Utc>,
}

impl From<&Member> for IndexRow {
    fn from(member: &Member) -> Self {
        Self {
            user_id: member.user.0,
            workspace: member.workspace.0,
            joined_at: member.joined_at,
        }
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = invitations, check_for_backend(diesel::pg::Pg))]
pub(super) struct InvitationRow {
    workspace_id: Uuid,
    id: Uuid,
    email: String,
    role: String,
    invited_by: Uuid,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    custom_role: Option<Uuid>,
}

impl From<&Invitation> for InvitationRow {
    fn from(invitation: &Invitation) -> Self {
        Self {
            workspace_id: invitation.workspace.0,
            id: invitation.id,
            email: invitation.email.as_str().to_owned(),
            role: word(invitation.role).to_owned(),
            invited_by: invitation.invited_by.0,
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
            custom_role: custom(invitation.role),
        }
    }
}

impl TryFrom<InvitationRow> for Invitation {
    type Error = StoreError;

    fn try_from(row: InvitationRow) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: WorkspaceId(row.workspace_id),
            id: row.id,
            email: Email::parse(&row.email).map_err(|_| corrupt("address of an invitation"))?,
            role: role(&row.role, row.custom_role).ok_or_else(|| corrupt("role of an invitation"))?,
            invited_by: UserId(row.invited_by),
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = settings, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
pub(super) struct SettingsRow {
    workspace_id: Uuid,
    ai_provider: Option<String>,
    ai_model: Option<String>,
    ai_base_url: Option<String>,
    ai_api_key_secret: Option<String>,
    mfa_policy: String,
    retention_days: i32,
    rate_tier: String,
    updated_at: DateTime<Utc>,
}

impl SettingsRow {
    /// The row of settings that changed at that time.
    pub(super) fn of(settings: &Settings, updated_at: DateTime<Utc>) -> Self {
        let ai = &settings.ai;
        Self {
            workspace_id: settings.workspace.0,
            ai_provider: ai.provider.map(|provider| provider.as_str().to_owned()),
            ai_model: ai.model.as_ref().map(|model| model.as_str().to_owned()),
            ai_base_url: ai.base_url.as_ref().map(|url| url.as_str().to_owned()),
            ai_api_key_secret: ai.api_key_secret.as_ref().map(|name| name.as_str().to_owned()),
            mfa_policy: settings.mfa_policy.as_str().to_owned(),
            retention_days: settings.retention_days.number(),
            rate_tier: settings.rate_tier.as_str().to_owned(),
            updated_at,
        }
    }

    /// The settings of a workspace whose home is `region`.
    pub(super) fn settings(self, region: String) -> Result<Settings, StoreError> {
        Ok(Settings {
            workspace: WorkspaceId(self.workspace_id),
            ai: AiSettings {
                provider: read(self.ai_provider, AiProvider::parse)?,
                model: read(self.ai_model, AiModel::parse)?,
                base_url: read(self.ai_base_url, BaseUrl::parse)?,
                api_key_secret: read(self.ai_api_key_secret, SecretName::parse)?,
            },
            mfa_policy: MfaPolicy::parse(&self.mfa_policy).map_err(corrupt)?,
            retention_days: RetentionDays::parse(self.retention_days).map_err(corrupt)?,
            rate_tier: RateTier::parse(&self.rate_tier).map_err(corrupt)?,
            region,
            updated_at: Some(self.updated_at),
        })
    }
}

fn read<T>(
    text: Option<String>,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Option<T>, StoreError> {
    text.map(|text| parse(&text)).transpose().map_err(corrupt)
}

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = secrets, check_for_backend(diesel::pg::Pg))]
pub(super) struct SecretRow {
    workspace_id: Uuid,
    name: String,
    id: Uuid,
    kind: String,
    version: i32,
    key_version: i32,
    sealed: Vec<u8>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<&Secret> for SecretRow {
    type Error = StoreError;

    fn try_from(secret: &Secret) -> Result<Self, StoreError> {
        Ok(Self {
            workspace_id: secret.workspace.0,
            name: secret.name.as_str().to_owned(),
            id: secret.id,
            kind: secret.kind.as_str().to_owned(),
            version: stored(secret.version)?,
            key_version: stored(secret.key_version)?,
            sealed: secret.sealed.clone(),
            created_at: secret.created_at,
            updated_at: secret.updated_at,
        })
    }
}

impl TryFrom<SecretRow> for Secret {
    type Error = StoreError;

    fn try_from(row: SecretRow) -> Result<Self, StoreError> {
        Ok(Self {
            workspace: WorkspaceId(row.workspace_id),
            id: row.id,
            name: SecretName::parse(&row.name).map_err(|_| corrupt("name of a secret"))?,
            kind: SecretKind::parse(&row.kind).map_err(|_| corrupt("kind of a secret"))?,
            version: loaded(row.version)?,
            key_version: loaded(row.key_version)?,
            sealed: row.sealed,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
