//! The guard beside tokens: the operator's secret, reflection, panics.

use std::net::SocketAddr;

use causeway_contracts::Role;
use causeway_contracts::llm::v1::llm_service_client::LlmServiceClient;
use causeway_crypto::{ServiceClaims, ServiceTokenKeys};
use causeway_errors::Code;
use causeway_mesh::{GuardOptions, MeshChannel, PeerAddr, SECRET_HEADER, near, on_behalf};
use secrecy::SecretString;
use tonic::{Request, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::fixture::{
    Fake, PREVIOUS_ROOT, ROOT, Sides, by_editor, error_of, guard, options, person, pieces, say, say_in_pieces,
};

/// Calls with the secret itself, from `peer`.
async fn with_secret(options: GuardOptions, peer: Option<&str>, headers: &[(&'static str, &str)]) -> Code {
    let mut request = Request::new(say("echo"));
    if let Some(peer) = peer {
        let peer: SocketAddr = peer.parse().expect("an address");
        request.extensions_mut().insert(PeerAddr(peer));
    }
    for (name, value) in headers {
        request
            .metadata_mut()
            .append(*name, value.parse().expect("a value"));
    }
    let channel = near(guard(&Fake::default(), options));
    let answer = LlmServiceClient::new(channel).generate(request).await;
    error_of(answer).0
}

/// It is proven, and a service may not generate.
const KNOWN: Code = Code::PermissionDenied;

#[tokio::test]
async fn the_secret_itself_is_taken_on_loopback_only() {
    let secret = [(SECRET_HEADER, ROOT)];
    for peer in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert_eq!(with_secret(options(), Some(peer), &secret).await, KNOWN, "{peer}");
    }
    for peer in ["10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1", "0.0.0.0:1"] {
        let code = with_secret(options(), Some(peer), &secret).await;
        assert_eq!(code, Code::Unauthenticated, "{peer}");
    }
    assert_eq!(
        with_secret(options(), None, &secret).await,
        Code::Unauthenticated,
        "near"
    );
}

#[tokio::test]
async fn a_proxy_on_loopback_does_not_lend_its_address() {
    for name in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let headers = [(SECRET_HEADER, ROOT), (name, "127.0.0.1")];
        let code = with_secret(options(), Some("127.0.0.1:1"), &headers).await;
        assert_eq!(code, Code::Unauthenticated, "{name}");
    }
}

#[tokio::test]
async fn both_secrets_are_taken_and_no_other() {
    let local = Some("127.0.0.1:1");
    assert_eq!(
        with_secret(options(), local, &[(SECRET_HEADER, PREVIOUS_ROOT)]).await,
        KNOWN
    );
    let prefix = &ROOT[..ROOT.len() - 1];
    for wrong in [prefix, "", "x", &format!("{ROOT}x")] {
        let code = with_secret(options(), local, &[(SECRET_HEADER, wrong)]).await;
        assert_eq!(code, Code::Unauthenticated, "{wrong}");
    }
    let twice = [(SECRET_HEADER, ROOT), (SECRET_HEADER, ROOT)];
    assert_eq!(with_secret(options(), local, &twice).await, Code::Unauthenticated);
}

#[tokio::test]
async fn an_empty_secret_opens_nothing() {
    let empty = GuardOptions {
        secrets: vec![SecretString::from("")],
        ..options()
    };
    let code = with_secret(empty, Some("127.0.0.1:1"), &[(SECRET_HEADER, "")]).await;
    assert_eq!(code, Code::Unauthenticated);
}

#[tokio::test]
async fn the_secret_works_over_a_socket_of_this_machine() {
    let sides = Sides::start().await;
    let mut request = Request::new(say("echo"));
    request
        .metadata_mut()
        .insert(SECRET_HEADER, ROOT.parse().expect("a value"));
    let answer = LlmServiceClient::new(sides.server.channel())
        .generate(request)
        .await;
    assert_eq!(error_of(answer).0, KNOWN);
}

/// The services that reflection lists for whoever has that token.
async fn listed(channel: MeshChannel, token: Option<String>) -> Result<usize, Status> {
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut request = Request::new(futures::stream::iter([list]));
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("a value");
        request.metadata_mut().insert("authorization", value);
    }
    let mut answers = ServerReflectionClient::new(channel)
        .server_reflection_info(request)
        .await?
        .into_inner();
    let mut count = 0;
    while answers.message().await?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn operator(root: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the guard compares it with the clock")]
    let now = chrono::Utc::now().timestamp();
    let claims = ServiceClaims {
        iss: causeway_mesh::OPERATOR.to_owned(),
        aud: "llm".to_owned(),
        method: "*".to_owned(),
        jti: "1".to_owned(),
        iat: now,
        exp: now + 60,
        request_id: "r".to_owned(),
        caller: serde_json::Value::Null,
    };
    let keys = ServiceTokenKeys::new(&SecretString::from(root), None);
    keys.sign(&claims).expect("signed")
}

#[tokio::test]
async fn reflection_needs_a_token() {
    let sides = Sides::start().await;
    for (side, channel) in sides.channels {
        let nobody = listed(channel.clone(), None).await;
        assert_eq!(error_of(nobody).0, Code::Unauthenticated, "{side}");
        let stranger = listed(
            channel.clone(),
            Some(operator("a root that is not ours at all, not one bit")),
        )
        .await;
        assert_eq!(error_of(stranger).0, Code::Unauthenticated, "{side}");
        assert_eq!(listed(channel, Some(operator(ROOT))).await.expect(side), 1);
    }
}

#[tokio::test]
async fn reflection_is_open_in_development() {
    let open = || GuardOptions {
        open_reflection: true,
        ..options()
    };
    let sides = Sides::with(open).await;
    for (side, channel) in sides.channels {
        assert_eq!(listed(channel, None).await.expect(side), 1);
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error_and_nothing_else_breaks() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let (fake, waiting) = (sides.fake.clone(), client.clone());
        let begun = fake.begun();
        let other = async move {
            let mut waiting = waiting;
            waiting.generate(by_editor(say("wait"))).await
        };
        let panicking = async {
            fake.has_begun(begun + 1).await;
            let error = error_of(client.generate(by_editor(say("panic"))).await);
            assert_eq!(
                (error.0, error.2.as_str()),
                (Code::Internal, "internal error"),
                "{side}"
            );
            fake.release(1);
        };
        let (other, ()) = tokio::join!(other, panicking);
        other.expect("a call on the same connection is not disturbed");
    }
}

#[tokio::test]
async fn a_panic_of_a_stream_ends_that_stream_only() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let ctx = person(Role::Editor);
        let mut hanging = client
            .generate_stream(on_behalf(&ctx, say_in_pieces("hang")))
            .await
            .expect("a stream")
            .into_inner();
        assert!(hanging.message().await.expect("a piece").is_some());
        let (deltas, end) = pieces(client.clone(), by_editor(say_in_pieces("panic"))).await;
        assert_eq!(deltas, ["a"], "{side}");
        let error = error_of(end);
        assert_eq!(
            (error.0, error.2.as_str()),
            (Code::Internal, "internal error"),
            "{side}"
        );
        client
            .generate(by_editor(say("echo")))
            .await
            .expect("the connection lives");
        let pending = tokio::time::timeout(std::time::Duration::from_millis(20), hanging.message()).await;
        assert!(pending.is_err(), "{side}: the other stream goes on");
    }
}
