//! The use cases over the store in memory and a tenancy that remembers.

mod api_keys;
mod clients;
mod devices;
mod exchanges;
mod factors;
mod guessing;
mod introspection;
mod leaks;
mod logins;
mod oauth;
mod oidc;
mod peppers;
mod persons;
mod reclaims;
mod recovery;
mod registrations;
mod revocations;
mod roles;
mod sessions;
mod single;
mod tokens;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use causeway_context::{CallContext, Caller, RequestId, UserId, WorkspaceId};
use causeway_contracts::{CallerKind, PermissionSet, Role};
use causeway_crypto::AccessTokenKey;
use causeway_errors::ApiError;
use causeway_oidc::{ClerkSession, VerifyError};
use causeway_outbox::{MemoryOutbox, OutboxEvent, OutboxStore as _, RelayHandle};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};

use super::{AuthService, LoggedIn, LoginRequest, RegisterRequest, Tokens};
use crate::config::Config;
use crate::domain::WorkspaceName;
use crate::error::AuthError;
use crate::passwords::Passwords;
use crate::service::register::Registered;
use crate::store::MemoryStore;
use crate::subject::ClerkSessions;
use crate::tenancy::{Membership, Tenancy, TenancyError};

pub(super) const PASSWORD: &str = "correct horse battery staple";
const SECRET: &str = "a signing secret of enough bytes for anybody";

#[derive(Default)]
struct FakeTenancy {
    memberships: Mutex<Vec<(UserId, Membership)>>,
    away: AtomicBool,
    single: AtomicBool,
}

impl FakeTenancy {
    fn answer(&self) -> Result<(), TenancyError> {
        match self.away.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(TenancyError::Away(Box::new(tonic::Status::unavailable("away")))),
        }
    }
}

#[async_trait]
impl Tenancy for FakeTenancy {
    async fn provision(
        &self,
        _: &RequestId,
        workspace: WorkspaceId,
        name: &WorkspaceName,
        owner: UserId,
    ) -> Result<WorkspaceId, TenancyError> {
        self.answer()?;
        let mut memberships = self.memberships.lock().unwrap();
        let single = self.single.load(Ordering::SeqCst);
        let workspace = if single { WorkspaceId::DEFAULT } else { workspace };
        let mut others = memberships
            .iter()
            .filter(|(_, other)| other.workspace == workspace);
        let (mine, theirs) = (
            others.clone().any(|(member, _)| *member == owner),
            others.next().is_some(),
        );
        if !mine && (single || !theirs) {
            let role = if theirs { "viewer" } else { "owner" };
            let (name, role) = (name.as_str().to_owned(), role.to_owned());
            memberships.push((
                owner,
                Membership {
                    workspace,
                    name,
                    role,
                    custom: PermissionSet::EMPTY,
                    mfa_required: false,
                },
            ));
        }
        Ok(workspace)
    }

    async fn memberships(&self, _: &RequestId, user: UserId) -> Result<Vec<Membership>, TenancyError> {
        self.answer()?;
        let memberships = self.memberships.lock().unwrap();
        Ok(memberships
            .iter()
            .filter(|(member, _)| *member == user)
            .map(|(_, found)| found.clone())
            .filter(|found| !self.single.load(Ordering::SeqCst) || found.workspace == WorkspaceId::DEFAULT)
            .collect())
    }
}

/// Knows the sessions that it is told of, by their tokens.
#[derive(Default)]
struct FakeClerk(Mutex<BTreeMap<String, Result<ClerkSession, VerifyError>>>);

#[async_trait]
impl ClerkSessions for FakeClerk {
    async fn prove(&self, token: &SecretString, _: DateTime<Utc>) -> Result<ClerkSession, VerifyError> {
        let known = self.0.lock().unwrap();
        known[token.expose_secret()].clone()
    }
}

/// The service with everything around it.
pub(super) struct World {
    pub(super) service: AuthService,
    pub(super) store: Arc<MemoryStore>,
    tenancy: Arc<FakeTenancy>,
    clerk: Arc<FakeClerk>,
    outbox: MemoryOutbox,
}

pub(super) fn world() -> World {
    world_with(|_| {})
}

pub(super) fn world_with(change: impl FnOnce(&mut Config)) -> World {
    let mut config = Config {
        access_keys: Arc::new(AccessTokenKey::verify_only(None, None)),
        refresh_secret: SECRET.into(),
        pepper: None,
        former_pepper: None,
        issuer: Some("causeway".to_owned()),
        audience: None,
        access_life: TimeDelta::minutes(15),
        refresh_life: TimeDelta::days(30),
        session_life: TimeDelta::days(90),
        refresh_grace: TimeDelta::seconds(30),
        mail: crate::config::MailConfig::default(),
        registration_open: true,
        single_tenant: false,
        mfa_issuer: "Causeway".to_owned(),
        mfa_enforced: true,
        mfa_strict: false,
        device_life: Some(TimeDelta::days(365)),
        breached: None,
        platform_owner: None,
        clerk: None,
        oidc: crate::oidc::OidcConfig::default(),
        scanning_keys: None,
    };
    change(&mut config);
    let keys = AccessTokenKey::new(&SECRET.into(), config.issuer.clone(), config.audience.clone());
    config.access_keys = Arc::new(keys.with_max_lifetime(config.access_life));
    let (tenancy, outbox) = (Arc::new(FakeTenancy::default()), MemoryOutbox::default());
    let store = Arc::new(MemoryStore::new(outbox.clone()));
    tenancy.single.store(config.single_tenant, Ordering::SeqCst);
    let (relay, passwords) = (RelayHandle::detached(), Passwords::cheap());
    let clerk = Arc::new(FakeClerk::default());
    let service = AuthService::new(
        &config,
        store.clone(),
        tenancy.clone(),
        Some(clerk.clone()),
        relay,
        passwords,
    );
    World {
        service,
        store,
        tenancy,
        clerk,
        outbox,
    }
}

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
}

pub(super) fn call(rpc: &str, caller: Caller, seconds: i64) -> CallContext {
    call_of("AuthService", rpc, caller, seconds)
}

pub(super) fn call_of(service: &str, rpc: &str, caller: Caller, seconds: i64) -> CallContext {
    let path = format!("/causeway.auth.v1.{service}/{rpc}");
    let method = causeway_contracts::method(&path).expect("a known RPC");
    CallContext::new(caller, method, RequestId::generate(), at(seconds))
}

pub(super) fn anonymous(rpc: &str, seconds: i64) -> CallContext {
    call(rpc, Caller::anonymous(), seconds)
}

pub(super) fn registration(email: &str, password: &str) -> RegisterRequest {
    RegisterRequest {
        email: email.to_owned(),
        password: password.to_owned(),
        workspace_name: "Analytical Engines".to_owned(),
    }
}

pub(super) fn reason<T>(answer: Result<T, AuthError>) -> String {
    ApiError::from(answer.err().expect("must be refused"))
        .reason
        .into_owned()
}

impl World {
    pub(super) fn tenancy_is_away(&self, away: bool) {
        self.tenancy.away.store(away, Ordering::SeqCst);
    }

    pub(super) fn join(&self, user: UserId, role: &str) -> WorkspaceId {
        let (workspace, name, role) = (WorkspaceId::generate(), "Another".to_owned(), role.to_owned());
        self.tenancy.memberships.lock().unwrap().push((
            user,
            Membership {
                workspace,
                name,
                role,
                custom: PermissionSet::EMPTY,
                mfa_required: false,
            },
        ));
        workspace
    }

    pub(super) fn set_role(&self, user: UserId, role: &str) {
        let mut memberships = self.tenancy.memberships.lock().unwrap();
        memberships
            .iter_mut()
            .filter(|(member, _)| *member == user)
            .for_each(|(_, found)| found.role = role.to_owned());
    }

    /// Gives a person, wherever it belongs, a custom role that holds that.
    pub(super) fn set_custom(&self, user: UserId, role: &str, held: PermissionSet) {
        let mut memberships = self.tenancy.memberships.lock().unwrap();
        let mine = memberships.iter_mut().filter(|(member, _)| *member == user);
        mine.for_each(|(_, found)| (found.role, found.custom) = (role.to_owned(), held));
    }

    /// What the custom role of a person in one workspace holds.
    pub(super) fn set_custom_in(&self, caller: &Caller, held: PermissionSet) {
        let mut memberships = self.tenancy.memberships.lock().unwrap();
        let mine = memberships
            .iter_mut()
            .filter(|(member, _)| Some(*member) == caller.user());
        mine.filter(|(_, found)| Some(found.workspace) == caller.workspace)
            .for_each(|(_, found)| found.custom = held);
    }

    pub(super) fn demand_factor(&self, user: UserId, demanded: bool) {
        let mut memberships = self.tenancy.memberships.lock().unwrap();
        memberships
            .iter_mut()
            .filter(|(member, _)| *member == user)
            .for_each(|(_, found)| found.mfa_required = demanded);
    }

    pub(super) fn leave(&self, user: UserId) {
        self.tenancy
            .memberships
            .lock()
            .unwrap()
            .retain(|(member, _)| *member != user);
    }

    pub(super) fn rejoin(&self, caller: &Caller, role: &str) {
        let membership = Membership {
            workspace: caller.workspace.unwrap(),
            name: "Again".to_owned(),
            role: role.to_owned(),
            custom: PermissionSet::EMPTY,
            mfa_required: false,
        };
        let user = caller.user().unwrap();
        self.tenancy.memberships.lock().unwrap().push((user, membership));
    }

    pub(super) async fn facts(&self) -> Vec<OutboxEvent> {
        self.outbox.unsent(1000).await.expect("memory answers")
    }

    pub(super) async fn actions(&self) -> Vec<String> {
        self.facts().await.into_iter().map(|fact| fact.action).collect()
    }

    pub(super) async fn registered(&self, email: &str) -> Registered {
        let request = registration(email, PASSWORD);
        self.service
            .register(&anonymous("Register", 0), request)
            .await
            .expect("registered")
    }

    pub(super) async fn login(
        &self,
        email: &str,
        password: &str,
        workspace: &str,
    ) -> Result<Tokens, AuthError> {
        let request = LoginRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            workspace_id: workspace.to_owned(),
            device_token: String::new(),
        };
        match self.service.login(&anonymous("Login", 0), request).await? {
            LoggedIn::Open(tokens, _) => Ok(tokens),
            LoggedIn::SecondFactor(_) => panic!("a second factor is asked for"),
        }
    }

    /// A registered person in its workspace, as the gateway would present it.
    pub(super) async fn person(&self, email: &str, role: Role) -> Caller {
        let made = self.registered(email).await;
        self.set_role(made.user, role.as_str());
        Caller::person(
            CallerKind::User,
            made.user,
            made.workspace,
            &[role],
            &[],
            "session".to_owned(),
        )
    }
}

pub(super) fn verifier() -> AccessTokenKey {
    AccessTokenKey::new(&SECRET.into(), Some("causeway".to_owned()), None)
}
