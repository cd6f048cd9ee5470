//! The service as the mesh runs it: over the wire format, behind the guard, with a tenancy on the other side.

mod settings;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::{BufMut as _, Bytes, BytesMut};
use causeway_context::{CallContext, Caller, RequestId};
use causeway_contracts::auth::v1 as wire;
use causeway_contracts::auth::v1::auth_service_client::AuthServiceClient;
use causeway_contracts::tenancy::v1 as tenancy;
use causeway_crypto::{AccessTokenKey, ServiceTokenKeys};
use causeway_errors::ApiError;
use causeway_mesh::{Guard, GuardOptions, Mesh, MeshChannel, ServiceIdentity, near, on_behalf};
use causeway_settings::{Owner, Settings, Sources};
use chrono::{DateTime, Utc};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use prost::Message;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::{Config, Parts, start};

const SECRET: &str = "a signing secret of enough bytes for anybody";
const PASSWORD: &str = "correct horse battery staple";

#[derive(Clone, Default)]
struct FakeTenancy(Arc<Mutex<Vec<tenancy::ProvisionWorkspaceRequest>>>);

impl FakeTenancy {
    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Infallible> {
        let path = request.uri().path().to_owned();
        assert!(
            request.headers().contains_key("authorization"),
            "calls carry a service token"
        );
        let body = request
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes()
            .slice(5..);
        Ok(match path.rsplit('/').next() {
            Some("ProvisionWorkspace") => {
                let message = tenancy::ProvisionWorkspaceRequest::decode(body).expect("a message");
                let workspace = tenancy::Workspace {
                    id: message.workspace_id.clone(),
                    ..tenancy::Workspace::default()
                };
                self.0.lock().unwrap().push(message);
                encoded(&tenancy::ProvisionWorkspaceResponse {
                    workspace: Some(workspace),
                })
            }
            Some("ListMemberships") => {
                let message = tenancy::ListMembershipsRequest::decode(body).expect("a message");
                encoded(&tenancy::ListMembershipsResponse {
                    memberships: self.memberships(&message.user_id),
                    ..tenancy::ListMembershipsResponse::default()
                })
            }
            Some("FindMemberships") => {
                let message = tenancy::FindMembershipsRequest::decode(body).expect("a message");
                let found = message.places.iter().map(|place| tenancy::FoundMembership {
                    membership: self.memberships(&place.user_id).into_iter().find(|one| {
                        let workspace = one.workspace.as_ref();
                        workspace.is_some_and(|workspace| workspace.id == place.workspace_id)
                    }),
                    ..tenancy::FoundMembership::default()
                });
                encoded(&tenancy::FindMembershipsResponse {
                    found: found.collect(),
                })
            }
            _ => Status::unimplemented("").into_http(),
        })
    }

    fn memberships(&self, user: &str) -> Vec<tenancy::Membership> {
        let made = self.0.lock().unwrap();
        let mine = made.iter().filter(|made| made.owner_user_id == user);
        mine.map(|made| tenancy::Membership {
            workspace: Some(tenancy::Workspace {
                id: made.workspace_id.clone(),
                name: made.name.clone(),
                ..tenancy::Workspace::default()
            }),
            role: "owner".to_owned(),
        })
        .collect()
    }
}

fn encoded(message: &impl Message) -> Response<Body> {
    let content = message.encode_to_vec();
    let mut frame = BytesMut::from(&[0][..]);
    frame.put_u32(u32::try_from(content.len()).expect("small"));
    frame.extend_from_slice(&content);
    let trailers = http::HeaderMap::from_iter([(
        "grpc-status".parse().expect("a name"),
        "0".parse().expect("a value"),
    )]);
    let body = Full::<Bytes>::new(frame.freeze()).with_trailers(async move { Some(Ok(trailers)) });
    Response::builder()
        .header("content-type", "application/grpc")
        .body(Body::new(body))
        .expect("a response")
}

fn identity(name: &'static str) -> ServiceIdentity {
    ServiceIdentity::new(name, Arc::new(ServiceTokenKeys::new(&"root".into(), None)))
}

fn config(extra: &[(&str, &str)]) -> Result<Config, Vec<causeway_settings::Problem>> {
    let pairs = [("NODE_ENV", "test"), ("JWT_SIGNING_SECRET", SECRET)]
        .into_iter()
        .chain(extra.iter().copied());
    let settings = Settings::resolve(&Sources::from_pairs(pairs), &[Owner::Auth, Owner::Mesh])?;
    Config::from_settings(&settings)
}

/// A client as the gateway has it.
async fn started() -> AuthServiceClient<MeshChannel> {
    let mesh = Mesh::new(identity("gateway"));
    let parts = Parts {
        mesh: mesh.named("auth"),
        database: None,
    };
    let service = start(config(&[]).expect("settings"), parts)
        .await
        .expect("started");
    assert!((service.ready)().await);
    let options = GuardOptions {
        identity: identity("auth"),
        secrets: Vec::new(),
        open_reflection: false,
        max_in_flight: 16,
    };
    mesh.link("auth", near(Guard::new(service.routes, options)));
    let fake = FakeTenancy::default();
    mesh.link(
        "tenancy",
        near(tower::service_fn(move |request| fake.clone().answer(request))),
    );
    AuthServiceClient::new(mesh.to("auth"))
}

fn by<T>(caller: &Caller, message: T) -> tonic::Request<T> {
    let method = causeway_contracts::method("/causeway.auth.v1.AuthService/GetMe").expect("known");
    on_behalf(
        &CallContext::new(
            caller.clone(),
            method,
            RequestId::generate(),
            DateTime::UNIX_EPOCH,
        ),
        message,
    )
}

async fn registered(client: &mut AuthServiceClient<MeshChannel>) -> wire::RegisterResponse {
    let request = wire::RegisterRequest {
        email: "Ada@example.com".to_owned(),
        password: PASSWORD.to_owned(),
        workspace_name: "Engines".to_owned(),
    };
    client
        .register(by(&Caller::anonymous(), request))
        .await
        .expect("registered")
        .into_inner()
}

#[tokio::test]
async fn an_account_goes_from_registration_to_a_token_that_proves_it() {
    let mut client = started().await;
    let made = registered(&mut client).await;
    assert_eq!(made.email, "ada@example.com");
    let login = wire::LoginRequest {
        email: made.email.clone(),
        password: PASSWORD.to_owned(),
        workspace_id: made.workspace_id.clone(),
        ..wire::LoginRequest::default()
    };
    let session = client
        .login(by(&Caller::anonymous(), login))
        .await
        .expect("logged in")
        .into_inner();
    assert_eq!((session.token_type.as_str(), session.expires_in), ("Bearer", 900));
    #[expect(clippy::disallowed_methods, reason = "the guard reads the clock too")]
    let now = Utc::now();
    let key = AccessTokenKey::new(&SECRET.into(), None, None);
    assert_eq!(
        key.verify(&session.access_token, now).expect("genuine").sub,
        made.user_id
    );

    let owner = Caller::person(
        causeway_contracts::CallerKind::User,
        made.user_id.parse().expect("an id"),
        made.workspace_id.parse().expect("an id"),
        &[causeway_contracts::Role::Owner],
        &[],
        session.session_id,
    );
    let me = client
        .get_me(by(&owner, wire::GetMeRequest {}))
        .await
        .expect("answered")
        .into_inner();
    assert_eq!(
        (me.email, me.workspaces[0].name.as_str()),
        (made.email, "Engines")
    );
    assert!(me.permissions.contains(&"secrets.reveal".to_owned()));

    let ask = wire::CreateTokenRequest {
        name: "ci".to_owned(),
        scopes: vec!["secrets.read".to_owned()],
        expires_at: None,
    };
    let token = client
        .create_token(by(&owner, ask))
        .await
        .expect("made")
        .into_inner()
        .token
        .expect("a token");
    let secret = token.secret.expect("shown once");
    assert!(secret.ends_with(&token.last_four));
    let ask = wire::AuthenticateTokenRequest { token: secret };
    let proven = client.authenticate_token(ask).await.expect("proven").into_inner();
    assert_eq!(proven.caller.expect("a caller").permissions, ["secrets.read"]);
    let list = client
        .list_tokens(by(&owner, wire::ListTokensRequest::default()))
        .await
        .expect("listed")
        .into_inner();
    assert_eq!((list.tokens.len(), &list.tokens[0].secret), (1, &None));
    let delete = wire::DeleteTokenRequest { id: token.id };
    client.delete_token(by(&owner, delete)).await.expect("revoked");

    let refresh = wire::RefreshRequest {
        refresh_token: session.refresh_token,
    };
    let next = client
        .refresh(by(&Caller::anonymous(), refresh))
        .await
        .expect("refreshed")
        .into_inner();
    assert_eq!(next.workspace_id, made.workspace_id);
    let logout = wire::LogoutRequest {
        refresh_token: next.refresh_token,
    };
    client
        .logout(by(&Caller::anonymous(), logout))
        .await
        .expect("logged out");
}

#[tokio::test]
async fn only_a_service_may_prove_tokens() {
    let mut client = started().await;
    let ask = wire::AuthenticateTokenRequest::default();
    let status = client
        .authenticate_token(by(&Caller::anonymous(), ask.clone()))
        .await
        .expect_err("refused");
    assert_eq!(status.code(), Code::Unauthenticated);
    let person = Caller {
        id: "somebody".to_owned(),
        ..Caller::anonymous()
    };
    let status = client
        .authenticate_token(by(&person, ask))
        .await
        .expect_err("refused");
    assert_eq!(status.code(), Code::PermissionDenied);
}

/// The gateway is not trusted to have asked (MFA-06).
#[tokio::test]
async fn the_service_itself_refuses_a_person_without_the_factor_that_is_demanded() {
    let mut client = started().await;
    let person = Caller {
        id: causeway_context::UserId::generate().to_string(),
        workspace: Some(causeway_context::WorkspaceId::generate()),
        permissions: ["tokens.write", "tokens.read"].iter().collect(),
        mfa_required: true,
        ..Caller::anonymous()
    };
    let ask = wire::CreateTokenRequest {
        name: "t".to_owned(),
        ..wire::CreateTokenRequest::default()
    };
    let refused = client
        .create_token(by(&person, ask.clone()))
        .await
        .expect_err("refused");
    assert_eq!(ApiError::from(refused).reason, "MFA_REQUIRED");
    let read = client
        .list_tokens(by(&person, wire::ListTokensRequest::default()))
        .await;
    assert!(read.is_ok(), "reads go on: {read:?}");
    let passed = Caller { mfa: true, ..person };
    assert!(client.create_token(by(&passed, ask)).await.is_ok());
}

#[tokio::test]
async fn errors_keep_their_reason_over_the_wire() {
    let mut client = started().await;
    registered(&mut client).await;
    let login = wire::LoginRequest {
        email: "ada@example.com".to_owned(),
        ..wire::LoginRequest::default()
    };
    let status = client
        .login(by(&Caller::anonymous(), login))
        .await
        .expect_err("refused");
    assert_eq!(ApiError::from(status).reason, "INVALID_CREDENTIALS");
}

#[tokio::test]
async fn the_catalogue_is_the_contracts() {
    let mut client = started().await;
    let anybody = Caller {
        id: "program".to_owned(),
        ..Caller::anonymous()
    };
    let ask = by(&anybody, wire::ListPermissionsRequest {});
    let catalogue = client
        .list_permissions(ask)
        .await
        .expect("answered")
        .into_inner()
        .permissions;
    let names: Vec<&str> = catalogue.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, causeway_contracts::PERMISSIONS);
    let reads = catalogue
        .iter()
        .find(|entry| entry.name == "secrets.read")
        .expect("known");
    assert_eq!(reads.roles, ["viewer", "editor", "admin", "owner"]);
    assert!(reads.id > 0 && !reads.description.is_empty());
    let ask = by(&Caller::anonymous(), wire::GetJwksRequest {});
    assert!(
        client
            .get_jwks(ask)
            .await
            .expect("answered")
            .into_inner()
            .keys
            .is_empty()
    );
}

#[tokio::test]
async fn without_clerk_nothing_is_exchanged() {
    let mut client = started().await;
    let ask = wire::ExchangeRequest {
        token: "a.b.c".to_owned(),
        ..wire::ExchangeRequest::default()
    };
    let status = client
        .exchange(by(&Caller::anonymous(), ask))
        .await
        .expect_err("refused");
    let error = ApiError::from(status);
    assert_eq!(
        (error.reason.as_ref(), error.retry_after),
        ("EXCHANGE_DISABLED", None)
    );
}
