use causeway_crypto::AccessClaims;
use causeway_oidc::ClerkSession;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::service::{ClientCredentials, Granted, TokenRequest, WithSecret};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const OF_TYPE: &str = "urn:ietf:params:oauth:token-type:";

pub(super) fn oauth(rpc: &str, caller: &Caller, seconds: i64) -> CallContext {
    call_of("OauthService", rpc, caller.clone(), seconds)
}

pub(super) fn shown(client: &WithSecret) -> ClientCredentials {
    ClientCredentials {
        id: client.client.id.to_string(),
        secret: client.secret.clone(),
    }
}

fn asked(grant: &str) -> TokenRequest {
    TokenRequest {
        grant_type: grant.to_owned(),
        ..TokenRequest::default()
    }
}

fn claims(granted: &Granted, seconds: i64) -> AccessClaims {
    let claims = verifier().verify(granted.access.expose_secret(), at(seconds));
    claims.expect("genuine")
}

impl World {
    pub(super) async fn grant(&self, request: TokenRequest, seconds: i64) -> Result<Granted, AuthError> {
        let ctx = oauth("Token", &Caller::anonymous(), seconds);
        self.service.grant(&ctx, request).await
    }

    pub(super) async fn grant_client(&self, client: &WithSecret, scope: &str) -> Result<Granted, AuthError> {
        let request = TokenRequest {
            client: shown(client),
            scope: scope.to_owned(),
            ..asked("client_credentials")
        };
        self.grant(request, 0).await
    }

    pub(super) async fn worth(
        &self,
        credential: &str,
        workspace: WorkspaceId,
        seconds: i64,
    ) -> (Vec<String>, usize) {
        let ctx = call_of(
            "ClientService",
            "DescribeCredential",
            Caller::service("gateway"),
            seconds,
        );
        let standing = self
            .service
            .describe_credential(&ctx, credential, &workspace.to_string())
            .await
            .expect("answered");
        let permissions = standing
            .caller
            .map(|caller| caller.permissions.names())
            .unwrap_or_default();
        (permissions, standing.revoked.len())
    }
}

/// CC-01.
#[tokio::test]
async fn a_client_s_token_says_what_it_is_and_may() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let client = world.client(&owner, &["secrets.read", "secrets.write"]).await;
    let granted = world.grant_client(&client, "").await.expect("granted");
    let id = client.client.id.to_string();
    let token = claims(&granted, 0);
    assert_eq!((&token.sub, token.client_id.as_ref()), (&id, Some(&id)));
    assert_eq!(token.scope, "secrets.read secrets.write");
    assert_eq!(token.workspace_id, owner.workspace.unwrap().to_string());
    assert!(token.roles.is_empty() && token.sid.is_empty() && !token.mfa);
    assert!(granted.refresh.is_none() && !granted.exchanged, "RFC 6749 §4.4.3");
    let narrow = world
        .grant_client(&client, "secrets.read")
        .await
        .expect("granted");
    assert_eq!(
        (narrow.scope.as_str(), claims(&narrow, 0).scope.as_str()),
        ("secrets.read", "secrets.read")
    );
    for beyond in ["workspaces.write", "secrets.read made.up"] {
        assert_eq!(reason(world.grant_client(&client, beyond).await), "INVALID_SCOPE");
    }
    assert_eq!(
        world.actions().await,
        ["account.registered", "client.created"],
        "a grant leaves nothing behind (CC-04)"
    );
}

#[tokio::test]
async fn a_client_may_do_no_more_than_who_granted_it_may_now() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let client = world.client(&owner, &["secrets.read", "secrets.write"]).await;
    world.set_role(owner.user().unwrap(), "viewer");
    let granted = world.grant_client(&client, "").await.expect("granted");
    assert_eq!(granted.scope, "secrets.read");
    let id = client.client.id.to_string();
    assert_eq!(
        world.worth(&id, owner.workspace.unwrap(), 0).await.0,
        ["secrets.read"]
    );
    assert!(world.worth(&id, WorkspaceId::generate(), 0).await.0.is_empty());
}

/// CC-01, ASVS 10.4.4.
#[tokio::test]
async fn the_ways_that_a_client_may_not_go_are_closed() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let client = world
        .try_client(&owner, &[], &["refresh_token"])
        .await
        .expect("made");
    assert_eq!(
        reason(world.grant_client(&client, "").await),
        "UNAUTHORIZED_CLIENT",
        "ASVS 10.4.4"
    );
    let exchange = TokenRequest {
        client: shown(&client),
        ..asked(EXCHANGE)
    };
    assert_eq!(reason(world.grant(exchange, 0).await), "UNAUTHORIZED_CLIENT");
    for (request, expected) in [
        (asked(""), "INVALID_REQUEST"),
        (asked("password"), "UNSUPPORTED_GRANT_TYPE"),
        (asked("client_credentials"), "INVALID_CLIENT"),
        (asked("refresh_token"), "INVALID_REQUEST"),
        (asked(EXCHANGE), "INVALID_REQUEST"),
    ] {
        let what = request.grant_type.clone();
        assert_eq!(reason(world.grant(request, 0).await), expected, "{what}");
    }
}

#[tokio::test]
async fn tokens_for_others_are_not_given() {
    let world = world_with(|config| config.audience = Some("https://api.example.com".to_owned()));
    let owner = world.person("ada@example.com", Role::Owner).await;
    let client = world.client(&owner, &[]).await;
    for (target, expected) in [
        ("https://api.example.com", true),
        ("https://other.example", false),
    ] {
        let request = TokenRequest {
            client: shown(&client),
            targets: vec![target.to_owned()],
            ..asked("client_credentials")
        };
        match world.grant(request, 0).await {
            Ok(_) => assert!(expected),
            Err(error) => {
                assert!(!expected);
                assert_eq!(ApiError::from(error).reason, "INVALID_TARGET");
            }
        }
    }
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_here_too() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let first = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("logged in");
    let refresh = |token: &SecretString, scope: &str| TokenRequest {
        refresh_token: token.clone(),
        scope: scope.to_owned(),
        ..asked("refresh_token")
    };
    let wider = world.grant(refresh(&first.refresh, "made.up"), 1).await;
    assert_eq!(reason(wider), "INVALID_SCOPE");
    let granted = world
        .grant(refresh(&first.refresh, "secrets.read"), 1)
        .await
        .expect("a refused scope used nothing up");
    assert_eq!(claims(&granted, 1).scope, "secrets.read");
    let next = granted.refresh.expect("rotated");
    let stranger = world.person("eve@example.com", Role::Owner).await;
    let foreign = world
        .try_client(&stranger, &[], &["refresh_token"])
        .await
        .expect("made");
    let own = world
        .try_client(&owner, &[], &["refresh_token"])
        .await
        .expect("made");
    let by = |client: &WithSecret| TokenRequest {
        client: shown(client),
        ..refresh(&next, "")
    };
    assert_eq!(reason(world.grant(by(&foreign), 2).await), "INVALID_GRANT");
    let all = world.grant(by(&own), 2).await.expect("of the same workspace");
    assert_eq!(claims(&all, 2).scope, "", "narrowing holds for one access token");
    let invented = refresh(&"cw_rt_nonsense".into(), "");
    assert_eq!(reason(world.grant(invented, 2).await), "INVALID_GRANT");
}

fn session_of(subject: &str) -> ClerkSession {
    ClerkSession {
        issuer: "https://clerk.example.com".to_owned(),
        subject: subject.to_owned(),
        session: None,
        party: "https://app.example.com".to_owned(),
        token: None,
        expires_at: at(60),
        actor: None,
        organization: None,
        second_factor: false,
    }
}

fn exchange(token: &str, kind: &str, scope: &str) -> TokenRequest {
    TokenRequest {
        subject_token: token.into(),
        subject_token_type: format!("{OF_TYPE}{kind}"),
        scope: scope.to_owned(),
        ..asked(EXCHANGE)
    }
}

#[tokio::test]
async fn an_identity_provider_s_token_becomes_a_session() {
    let world = world();
    let known = |answer| {
        let mut clerk = world.clerk.0.lock().unwrap();
        clerk.insert("theirs".to_owned(), answer);
    };
    known(Ok(session_of("user_1")));
    for kind in ["jwt", "id_token"] {
        let granted = world
            .grant(exchange("theirs", kind, "secrets.read"), 0)
            .await
            .expect("exchanged");
        assert!(granted.exchanged && granted.refresh.is_none());
        let token = claims(&granted, 0);
        assert_eq!((token.scope.as_str(), token.client_id), ("secrets.read", None));
    }
    assert_eq!(world.actions().await.last().unwrap(), "session.opened");
    let wide = world.grant(exchange("theirs", "jwt", "made.up"), 0).await;
    assert_eq!(reason(wide), "INVALID_SCOPE");
    known(Err(VerifyError::Pending));
    let pending = world.grant(exchange("theirs", "jwt", ""), 0).await;
    assert_eq!(reason(pending), "INVALID_REQUEST", "RFC 8693 §2.2.2");
    for request in [
        exchange("theirs", "saml2", ""),
        TokenRequest {
            requested_token_type: format!("{OF_TYPE}refresh_token"),
            ..exchange("theirs", "jwt", "")
        },
        TokenRequest {
            actor_token: "a".into(),
            ..exchange("theirs", "jwt", "")
        },
    ] {
        assert_eq!(reason(world.grant(request, 0).await), "INVALID_REQUEST");
    }
}

#[tokio::test]
async fn an_exchanged_token_is_worth_no_more_than_the_one_it_was_given_for() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let key = world.key(&owner, &["secrets.read", "secrets.write"]).await;
    let text = key.secret.expose_secret();
    let granted = world
        .grant(exchange(text, "access_token", "secrets.read"), 0)
        .await
        .expect("exchanged");
    let token = claims(&granted, 0);
    let credential = token.client_id.clone().expect("it hangs on the key");
    assert!(granted.exchanged && credential.starts_with("cw_token_"));
    assert_eq!(
        (token.sub, token.scope),
        (key.token.id.to_string(), "secrets.read".to_owned())
    );
    let wide = exchange(text, "access_token", "secrets.read workspaces.write");
    assert_eq!(reason(world.grant(wide, 0).await), "INVALID_SCOPE");
    let workspace = owner.workspace.unwrap();
    assert_eq!(world.worth(&credential, workspace, 1).await.0.len(), 2);
    let ctx = super::clients::client_call("DeleteApiKey", &owner, 1);
    world
        .service
        .delete_api_key(&ctx, &key.token.id.to_string())
        .await
        .expect("revoked");
    assert!(world.worth(&credential, workspace, 2).await.0.is_empty());
    let late = world.grant(exchange(text, "access_token", ""), 2).await;
    assert_eq!(reason(late), "INVALID_REQUEST");
}

#[tokio::test]
async fn a_client_exchanges_what_is_good_in_its_own_workspace_only() {
    let world = world();
    let owner = world.person("ada@example.com", Role::Owner).await;
    let stranger = world.person("eve@example.com", Role::Owner).await;
    let token = crate::service::CreateTokenRequest {
        name: "ci".to_owned(),
        scopes: Vec::new(),
        expires_at: Ok(None),
    };
    let ctx = call("CreateToken", owner.clone(), 0);
    let token = world.service.create_token(&ctx, token).await.expect("made");
    let exchanger = async |caller: &Caller| world.try_client(caller, &[], &[EXCHANGE]).await.expect("made");
    let (own, foreign) = (exchanger(&owner).await, exchanger(&stranger).await);
    let by = |client: &WithSecret, workspace: String| TokenRequest {
        client: shown(client),
        workspace_id: workspace,
        ..exchange(token.secret.expose_secret(), "access_token", "secrets.read")
    };
    let granted = world.grant(by(&own, String::new()), 0).await.expect("exchanged");
    assert_eq!(
        claims(&granted, 0).sub,
        owner.id,
        "a personal access token is a subject (RFC 8693)"
    );
    assert_eq!(
        reason(world.grant(by(&foreign, String::new()), 0).await),
        "INVALID_REQUEST"
    );
    let elsewhere = by(&own, stranger.workspace.unwrap().to_string());
    assert_eq!(reason(world.grant(elsewhere, 0).await), "INVALID_REQUEST");
    let session = world
        .login("ada@example.com", PASSWORD, "")
        .await
        .expect("logged in");
    let again = exchange(session.access.expose_secret(), "access_token", "");
    assert_eq!(
        reason(world.grant(again, 0).await),
        "INVALID_REQUEST",
        "our own JWT is no subject"
    );
}
