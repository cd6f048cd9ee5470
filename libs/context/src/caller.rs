//! Who is calling.

use causeway_contracts::{CallerKind, Idempotency, Method, PermissionSet, Role, Rule, common};
use causeway_errors::ApiError;
use serde::{Deserialize, Serialize};

use crate::{UserId, WorkspaceId};

/// The issuer of tokens that a person made with `causeway token service`.
pub const OPERATOR: &str = "operator";

/// Who is calling, after the credential was proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// What kind of caller it is.
    #[serde(with = "kind")]
    pub kind: CallerKind,
    /// The id of the person or the client, or the name of the service.
    pub id: String,
    /// The workspace of the call.
    pub workspace: Option<WorkspaceId>,
    /// What the caller may do there.
    #[serde(with = "permissions")]
    pub permissions: PermissionSet,
    /// From which roles that comes.
    pub roles: Vec<String>,
    /// The session, token or client credential that was presented.
    pub credential_id: String,
    /// Whether a second factor was passed.
    pub mfa: bool,
    /// Whether the workspace demands a second factor of persons for everything that has effects (B-AUTH-21).
    #[serde(default, skip_serializing_if = "is_false")]
    pub mfa_required: bool,
    /// Whether the person has a second factor.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mfa_enrolled: bool,
}

/// What is usual is not written: the caller goes with every call between services.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The kind of a caller as the word that everybody uses for it.
mod kind {
    use causeway_contracts::CallerKind;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(kind: &CallerKind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(kind.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CallerKind, D::Error> {
        let word = String::deserialize(deserializer)?;
        CallerKind::parse(&word).ok_or_else(|| serde::de::Error::custom("unknown kind of caller"))
    }
}

/// Permissions as the bits of their ids: the caller goes with every call between services. Names are read too, from
/// whoever wrote them out.
mod permissions {
    use std::fmt;

    use causeway_contracts::PermissionSet;
    use serde::de::{Deserializer, SeqAccess, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(set: &PermissionSet, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&set.encode())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PermissionSet, D::Error> {
        deserializer.deserialize_any(Either)
    }

    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = PermissionSet;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("permissions")
        }

        fn visit_str<E>(self, text: &str) -> Result<PermissionSet, E> {
            Ok(PermissionSet::decode(text))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<PermissionSet, A::Error> {
            let mut set = PermissionSet::EMPTY;
            while let Some(name) = names.next_element::<String>()? {
                set = set | [name].into_iter().collect();
            }
            Ok(set)
        }
    }
}

/// A message that does not describe a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a caller")]
pub struct CallerError;

/// What a person is in a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// The roles: words of built-in ones, ids of custom ones.
    pub roles: Vec<String>,
    /// What they hold together.
    pub permissions: PermissionSet,
}

impl Caller {
    /// Nobody known: what a public RPC sees.
    pub fn anonymous() -> Self {
        Self {
            kind: CallerKind::User,
            id: String::new(),
            workspace: None,
            permissions: PermissionSet::EMPTY,
            roles: Vec::new(),
            credential_id: String::new(),
            mfa: false,
            mfa_required: false,
            mfa_enrolled: false,
        }
    }

    /// A service that acts for itself. What it may call is said in the contract of each RPC (SVC-03).
    pub fn service(name: &str) -> Self {
        Self {
            kind: CallerKind::Service,
            id: name.to_owned(),
            ..Self::anonymous()
        }
    }

    /// A person in a workspace, holding what the built-in roles hold; narrowed to `scopes` when there are any.
    pub fn person(
        kind: CallerKind,
        user: UserId,
        workspace: WorkspaceId,
        roles: &[Role],
        scopes: &[String],
        credential_id: String,
    ) -> Self {
        let held = Held {
            permissions: roles
                .iter()
                .max()
                .map_or(PermissionSet::EMPTY, |role| PermissionSet::of_role(*role)),
            roles: roles.iter().map(|role| role.as_str().to_owned()).collect(),
        };
        Self::member(kind, user, workspace, held, scopes, credential_id)
    }

    /// A person in a workspace, whatever the roles are; narrowed to `scopes` when there are any.
    pub fn member(
        kind: CallerKind,
        user: UserId,
        workspace: WorkspaceId,
        held: Held,
        scopes: &[String],
        credential_id: String,
    ) -> Self {
        Self {
            kind,
            id: user.to_string(),
            workspace: Some(workspace),
            permissions: held.permissions.narrowed(scopes),
            roles: held.roles,
            credential_id,
            ..Self::anonymous()
        }
    }

    /// Whether the caller holds that permission.
    pub fn holds(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }

    /// Whether nobody is known.
    pub fn is_anonymous(&self) -> bool {
        self.id.is_empty()
    }

    /// The person, for a person's session or token.
    pub fn user(&self) -> Option<UserId> {
        match self.kind {
            CallerKind::User | CallerKind::Token => self.id.parse().ok(),
            CallerKind::Client | CallerKind::Service => None,
        }
    }

    /// Whether the caller may use the RPC. The gateway and the service both ask, from the same table.
    ///
    /// # Errors
    /// 401 for an unknown caller, 403 for a known one that may not; `MFA_REQUIRED` if it may with a second factor only.
    pub fn authorize(&self, method: &Method) -> Result<(), ApiError> {
        if method.rule == Rule::Public {
            return Ok(());
        }
        if self.is_anonymous() {
            return Err(ApiError::unauthenticated());
        }
        if !method.callers.contains(&self.kind) {
            return Err(ApiError::forbidden(
                "CALLER_KIND_REFUSED",
                "this kind of credential cannot do that",
            ));
        }
        match method.rule {
            Rule::Public | Rule::Authenticated => {}
            Rule::Internal if self.id == OPERATOR || method.services.contains(&self.id.as_str()) => {}
            Rule::Internal => {
                return Err(ApiError::forbidden(
                    "CALLER_REFUSED",
                    "this service has no use for the RPC",
                ));
            }
            Rule::Permission { id, .. } if self.permissions.holds(id) => {}
            Rule::Permission { name, .. } => {
                return Err(ApiError::forbidden(
                    "PERMISSION_DENIED",
                    format!("the permission {name} is missing"),
                ));
            }
        }
        if self.lacks_factor(method) {
            return Err(ApiError::forbidden(
                "MFA_REQUIRED",
                "this needs a second factor: enrol one, or pass it with POST /v1/me/mfa/verify",
            ));
        }
        Ok(())
    }

    /// Whether the RPC asks for a second factor that the person has not passed (MFA-06). Programs have none to pass.
    fn lacks_factor(&self, method: &Method) -> bool {
        let person = matches!(self.kind, CallerKind::User | CallerKind::Token);
        if !person || self.mfa || method.without_mfa {
            return false;
        }
        let effects = method.idempotency != Idempotency::NoSideEffects;
        (self.mfa_required && (effects || method.mfa)) || (self.mfa_enrolled && method.mfa)
    }
}

impl From<&Caller> for common::v1::Caller {
    fn from(caller: &Caller) -> Self {
        Self {
            kind: caller.kind.as_str().to_owned(),
            id: caller.id.clone(),
            workspace_id: caller
                .workspace
                .map(|workspace| workspace.to_string())
                .unwrap_or_default(),
            permissions: caller.permissions.names(),
            roles: caller.roles.clone(),
            credential_id: caller.credential_id.clone(),
            mfa: caller.mfa,
            mfa_required: caller.mfa_required,
            mfa_enrolled: caller.mfa_enrolled,
        }
    }
}

impl TryFrom<common::v1::Caller> for Caller {
    type Error = CallerError;

    fn try_from(message: common::v1::Caller) -> Result<Self, CallerError> {
        let workspace = match message.workspace_id.as_str() {
            "" => None,
            id => Some(id.parse().map_err(|_| CallerError)?),
        };
        Ok(Self {
            kind: CallerKind::parse(&message.kind).ok_or(CallerError)?,
            id: message.id,
            workspace,
            permissions: message.permissions.into_iter().collect(),
            roles: message.roles,
            credential_id: message.credential_id,
            mfa: message.mfa,
            mfa_required: message.mfa_required,
            mfa_enrolled: message.mfa_enrolled,
        })
    }
}

#[cfg(test)]
mod tests {
    use causeway_contracts::METHODS;

    use super::*;

    fn person(role: Role, scopes: &[String]) -> Caller {
        let (user, workspace) = (UserId::generate(), WorkspaceId::generate());
        Caller::person(CallerKind::User, user, workspace, &[role], scopes, "s".to_owned())
    }

    #[test]
    fn an_unknown_caller_uses_public_rpcs_only() {
        for method in METHODS {
            let answer = Caller::anonymous().authorize(method);
            assert_eq!(answer.is_ok(), method.rule == Rule::Public, "{}", method.path);
        }
    }

    #[test]
    fn an_owner_uses_everything_but_internal_rpcs() {
        for method in METHODS {
            let allowed = person(Role::Owner, &[]).authorize(method).is_ok();
            assert_eq!(allowed, method.rule != Rule::Internal, "{}", method.path);
        }
    }

    /// The RPCs that an owner without a passed factor is refused for the lack of it.
    fn refused_for_the_factor(change: impl Fn(&mut Caller)) -> Vec<&'static Method> {
        let mut caller = person(Role::Owner, &[]);
        change(&mut caller);
        METHODS
            .iter()
            .filter(|method| match caller.authorize(method) {
                Ok(()) => false,
                Err(error) => error.reason == "MFA_REQUIRED",
            })
            .collect()
    }

    fn known(method: &Method) -> bool {
        matches!(method.rule, Rule::Authenticated | Rule::Permission { .. })
            && method.callers.contains(&CallerKind::User)
    }

    #[test]
    fn where_a_factor_is_demanded_everything_with_effects_asks_for_it() {
        let refused = refused_for_the_factor(|caller| caller.mfa_required = true);
        for method in METHODS.iter().filter(|method| known(method)) {
            let effects = method.idempotency != Idempotency::NoSideEffects;
            let asks = (effects || method.mfa) && !method.without_mfa;
            assert_eq!(refused.contains(&method), asks, "{}", method.path);
        }
        let without: Vec<&str> = METHODS
            .iter()
            .filter(|method| known(method) && method.without_mfa)
            .map(|method| method.name)
            .collect();
        for way in ["EnrollTotp", "ConfirmTotp", "VerifySession"] {
            assert!(without.contains(&way), "{way} is the way to a factor");
        }
    }

    #[test]
    fn who_has_a_factor_needs_it_for_what_is_marked() {
        let refused = refused_for_the_factor(|caller| caller.mfa_enrolled = true);
        for method in METHODS.iter().filter(|method| known(method)) {
            assert_eq!(refused.contains(&method), method.mfa, "{}", method.path);
        }
    }

    #[test]
    fn a_passed_factor_and_a_program_open_the_gate() {
        let passed = |caller: &mut Caller| {
            (caller.mfa, caller.mfa_required, caller.mfa_enrolled) = (true, true, true);
        };
        let program = |caller: &mut Caller| {
            (caller.kind, caller.mfa_required) = (CallerKind::Client, true);
        };
        let neither = |_: &mut Caller| {};
        assert_eq!(refused_for_the_factor(passed), Vec::<&Method>::new());
        assert_eq!(refused_for_the_factor(program), Vec::<&Method>::new());
        assert_eq!(refused_for_the_factor(neither), Vec::<&Method>::new());
    }

    #[test]
    fn scopes_narrow_and_never_widen() {
        let scopes = [
            "secrets.read".to_owned(),
            "workspaces.write".to_owned(),
            "made.up".to_owned(),
        ];
        assert_eq!(person(Role::Viewer, &scopes).permissions, ["secrets.read"]);
    }

    #[test]
    fn permissions_are_read_as_bits_and_as_names_and_unknown_ones_grant_nothing() {
        let read = |permissions: serde_json::Value| {
            let mut json = serde_json::to_value(Caller::anonymous()).expect("JSON");
            json["permissions"] = permissions;
            serde_json::from_value::<Caller>(json).map(|caller| caller.permissions)
        };
        let one: PermissionSet = ["secrets.read"].into_iter().collect();
        assert_eq!(read(one.encode().into()).expect("bits"), one);
        let names = read(serde_json::json!(["secrets.read", "made.up"]));
        assert_eq!(names.expect("names"), one, "RBAC-03");
        assert_eq!(read("~".into()).expect("a text"), PermissionSet::EMPTY);
        assert!(read(serde_json::json!(7)).is_err());
    }

    #[test]
    fn a_caller_survives_the_wire() {
        let mut caller = person(Role::Editor, &[]);
        (caller.mfa, caller.mfa_required, caller.mfa_enrolled) = (true, true, true);
        let json = serde_json::to_value(&caller).expect("JSON");
        assert_eq!(
            serde_json::from_value::<Caller>(json).ok().as_ref(),
            Some(&caller)
        );
        assert_eq!(Caller::try_from(common::v1::Caller::from(&caller)), Ok(caller));
    }
}
