//! What is measured: which RPCs, on which ways, on whose behalf.

use anyhow::{Context as _, Result};
use causeway_context::{Caller, RequestId, UserId, WorkspaceId};
use causeway_contracts::audit::v1::GetRootRequest;
use causeway_contracts::scoring::v1::{
    CreateModelRequest, CreateModelResponse, GetModelRequest, Offer, RecommendRequest,
};
use causeway_contracts::{CallerKind, Role};
use causeway_crypto::{AccessClaims, AccessTokenKey, ServiceClaims, ServiceTokenKeys};
use causeway_mesh::{MeshChannel, OnBehalf};
use chrono::Utc;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use crate::call::Call;

/// Secrets of this run alone.
pub(crate) struct Secrets {
    /// `JWT_SIGNING_SECRET`.
    pub(crate) signing: String,
    /// `INTERNAL_SERVICE_SECRET`.
    pub(crate) internal: String,
}

impl Secrets {
    pub(crate) fn generate() -> Self {
        let secret = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Self {
            signing: secret(),
            internal: secret(),
        }
    }

    /// The keys of the service tokens.
    pub(crate) fn service_keys(&self) -> ServiceTokenKeys {
        ServiceTokenKeys::new(&SecretString::from(self.internal.as_str()), None)
    }
}

/// An RPC that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rpc {
    /// A read of one small object.
    GetModel,
    /// A write: a decision over three offers, and its fact in the audit log before it is answered.
    Recommend,
    /// The cheapest of all: the head of a short log.
    GetRoot,
}

impl Rpc {
    pub(crate) const ALL: [Self; 3] = [Self::GetRoot, Self::GetModel, Self::Recommend];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GetModel => "scoring GetModel",
            Self::Recommend => "scoring Recommend",
            Self::GetRoot => "audit GetRoot",
        }
    }

    /// The service that answers it.
    pub(crate) const fn owner(self) -> &'static str {
        match self {
            Self::GetModel | Self::Recommend => "scoring",
            Self::GetRoot => "audit",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::GetModel => "/causeway.scoring.v1.ScoringService/GetModel",
            Self::Recommend => "/causeway.scoring.v1.ScoringService/Recommend",
            Self::GetRoot => "/causeway.audit.v1.AuditService/GetRoot",
        }
    }

    fn grpc(self, model: &str) -> Call {
        match self {
            Self::GetModel => Call::grpc(self.path(), &GetModelRequest { id: model.to_owned() }),
            Self::Recommend => Call::grpc(
                self.path(),
                &RecommendRequest {
                    customer_id: "customer-1".to_owned(),
                    model_id: model.to_owned(),
                    ..RecommendRequest::default()
                },
            ),
            Self::GetRoot => Call::grpc(self.path(), &GetRootRequest {}),
        }
    }

    fn rest(self, model: &str) -> Result<Call> {
        match self {
            Self::GetModel => Call::rest(&format!("/v1/scoring/models/{model}"), None),
            Self::Recommend => {
                let body = json!({"customer_id": "customer-1", "model_id": model});
                Call::rest("/v1/recommend", Some(&body))
            }
            Self::GetRoot => Call::rest("/v1/audit/root", None),
        }
    }
}

/// A way to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The service's own port, with a service token.
    Direct,
    /// The gateway in a process of its own, gRPC in and gRPC out.
    GatewayGrpc,
    /// The gateway in a process of its own, JSON in and gRPC out.
    GatewayRest,
    /// The program that is everything in one process, by gRPC.
    WholeGrpc,
    /// The same by JSON.
    WholeRest,
    /// No socket: the service in this process, by the channel that services call each other with.
    Near,
}

impl Way {
    pub(crate) const ALL: [Self; 6] = [
        Self::Direct,
        Self::GatewayGrpc,
        Self::GatewayRest,
        Self::WholeGrpc,
        Self::WholeRest,
        Self::Near,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "the service directly, gRPC",
            Self::GatewayGrpc => "through the gateway, gRPC",
            Self::GatewayRest => "through the gateway, REST",
            Self::WholeGrpc => "all in one process, gRPC",
            Self::WholeRest => "all in one process, REST",
            Self::Near => "in process, no socket",
        }
    }
}

/// Somebody who may do everything in a workspace.
#[derive(Clone)]
pub(crate) struct Person {
    user: UserId,
    workspace: WorkspaceId,
    session: String,
}

impl Person {
    pub(crate) fn generate() -> Self {
        Self {
            user: UserId::generate(),
            workspace: WorkspaceId::generate(),
            session: Uuid::now_v7().to_string(),
        }
    }

    fn caller(&self) -> Caller {
        let mut caller = Caller::person(
            CallerKind::User,
            self.user,
            self.workspace,
            &[Role::Owner],
            &[],
            self.session.clone(),
        );
        caller.mfa = true;
        caller
    }

    fn behalf(&self) -> OnBehalf {
        OnBehalf {
            caller: self.caller(),
            request_id: RequestId::generate(),
        }
    }

    fn access_token(&self, secrets: &Secrets) -> Result<String> {
        let now = now();
        let claims = AccessClaims {
            iss: None,
            aud: None,
            sub: self.user.to_string(),
            exp: now + 900,
            nbf: now,
            iat: now,
            jti: Uuid::now_v7().to_string(),
            sid: self.session.clone(),
            workspace_id: self.workspace.to_string(),
            roles: vec![Role::Owner.as_str().to_owned()],
            perm: None,
            scope: String::new(),
            mfa: true,
            mfa_required: false,
            mfa_enrolled: false,
            act: None,
            client_id: None,
        };
        AccessTokenKey::new(&SecretString::from(secrets.signing.as_str()), None, None)
            .sign(&claims)
            .context("sign an access token")
    }

    /// The token that the gateway would make for this person's call.
    fn service_token(&self, secrets: &Secrets, rpc: Rpc) -> Result<String> {
        let now = now();
        let claims = ServiceClaims {
            iss: "gateway".to_owned(),
            aud: rpc.owner().to_owned(),
            method: rpc.path().to_owned(),
            jti: Uuid::now_v7().simple().to_string(),
            iat: now,
            exp: now + 30,
            request_id: RequestId::generate().to_string(),
            caller: serde_json::to_value(self.caller()).context("write the caller")?,
        };
        secrets
            .service_keys()
            .sign(&claims)
            .context("sign a service token")
    }
}

fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a token's life begins when it is made")]
    let now = Utc::now();
    now.timestamp()
}

/// Who calls: reads of the log are of another workspace than the decisions, whose log grows while it is measured.
pub(crate) struct Cast {
    decider: Person,
    auditor: Person,
}

impl Cast {
    pub(crate) fn generate() -> Self {
        Self {
            decider: Person::generate(),
            auditor: Person::generate(),
        }
    }

    fn of(&self, rpc: Rpc) -> &Person {
        match rpc {
            Rpc::GetModel | Rpc::Recommend => &self.decider,
            Rpc::GetRoot => &self.auditor,
        }
    }

    /// The call of `rpc` on `way`, where the model has the id `model`. Good for half a minute.
    pub(crate) fn call(&self, rpc: Rpc, way: Way, model: &str, secrets: &Secrets) -> Result<Call> {
        let person = self.of(rpc);
        match way {
            Way::Direct => rpc.grpc(model).bearer(&person.service_token(secrets, rpc)?),
            Way::GatewayGrpc | Way::WholeGrpc => rpc.grpc(model).bearer(&person.access_token(secrets)?),
            Way::GatewayRest | Way::WholeRest => rpc.rest(model)?.bearer(&person.access_token(secrets)?),
            Way::Near => Ok(rpc.grpc(model).on_behalf(person.behalf())),
        }
    }

    /// Makes the model that is asked for later, and gives the other workspace's log its first entry.
    pub(crate) async fn set_up(&self, channel: &MeshChannel, way: Way, secrets: &Secrets) -> Result<String> {
        let offers = ["red", "green", "blue"].map(|name| Offer {
            offer_id: name.to_owned(),
            name: name.to_owned(),
        });
        let call = Call::grpc(
            "/causeway.scoring.v1.ScoringService/CreateModel",
            &CreateModelRequest {
                name: "bench".to_owned(),
                kind: "thompson".to_owned(),
                offers: offers.to_vec(),
                prior_alpha: 1.0,
                prior_beta: 1.0,
            },
        );
        let mut model = String::new();
        for person in [&self.auditor, &self.decider] {
            let call = match way {
                Way::Near => call.clone().on_behalf(person.behalf()),
                _ => call.clone().bearer(&person.access_token(secrets)?)?,
            };
            let made: CreateModelResponse = call.ask(channel).await.context("make a model")?;
            model = made.model.context("the answer has no model")?.id;
        }
        Ok(model)
    }
}
