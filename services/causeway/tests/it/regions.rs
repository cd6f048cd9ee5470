//! Tenants of another region are sent there (B-GW-27).

use causeway_context::WorkspaceId;
use causeway_contracts::{Method, method};
use causeway_mesh::far;
use http::{Request, header};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use crate::mesh::{Account, Mesh};
use crate::platform::{decide, owned_by};

/// The status of an empty call over gRPC.
async fn grpc(mesh: &Mesh, method: &Method, account: &Account) -> Status {
    let channel = far(mesh.base.parse().unwrap(), &CancellationToken::new());
    let empty = http_body_util::Full::new(bytes::Bytes::from_static(&[0; 5]));
    let request = Request::post(format!("{}{}", mesh.base, method.path))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::AUTHORIZATION, format!("Bearer {}", account.access_token))
        .body(tonic::body::Body::new(empty))
        .unwrap();
    let response = channel.oneshot(request).await.unwrap();
    Status::from_header_map(response.headers()).expect("refused before anything else")
}

/// B-TEN-24.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_of_another_region_is_sent_there_with_its_question() {
    let eu = Mesh::with(&[("KAIREON_REGION", "eu-west-1")]).await;
    let urls = format!("eu-west-1={}", eu.base);
    let several = [("MULTI_REGION_ENABLED", "true"), ("REGION_URLS", urls.as_str())];
    let (us, platform) = owned_by(WorkspaceId::generate(), &several).await;
    let (home, ada) = (us.account("home").await, us.account("ada").await);
    decide(&platform, &ada, json!({"region": "eu-west-1"})).await;
    assert_eq!(
        home.client.get("/v1/secrets").await.status,
        200,
        "its home is here"
    );

    for (verb, path) in [
        ("GET", "/api/v1/secrets?page_size=2&page_token="),
        ("POST", "/v1/chat/completions"),
        ("PATCH", "/v1/settings"),
    ] {
        let answer = ada.client.send(verb, path, "", None).await;
        assert_eq!(answer.status, 307, "{}", answer.body);
        assert_eq!(answer.header("location"), format!("{}{path}", eu.base));
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let refused = ada.client.get("/v1/settings").await;
    assert_eq!(refused.reason(307), "OTHER_REGION");
    // Whoever follows is served there, as far as that region knows the workspace.
    let there = eu.anonymous().bearer(&ada.access_token).get("/v1/secrets").await;
    assert_eq!(there.status, 200, "{}", there.body);

    let get = method("/causeway.tenancy.v1.SettingsService/GetSettings").unwrap();
    let status = grpc(&us, get, &ada).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    let details = status.get_error_details();
    let info = details.error_info().expect("typed");
    assert_eq!(info.reason, "OTHER_REGION");
    assert_eq!(info.metadata["region"], "eu-west-1");
    assert_eq!(info.metadata["url"], eu.base);
    us.end().await;
    eu.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_without_an_address_is_said_and_nobody_is_sent_anywhere() {
    let several = [
        ("MULTI_REGION_ENABLED", "true"),
        ("REGION_URLS", "eu-west-1=https://eu.example"),
    ];
    let (mesh, platform) = owned_by(WorkspaceId::generate(), &several).await;
    let ada = mesh.account("ada").await;
    decide(&platform, &ada, json!({"region": "ap-south-1"})).await;
    // What a client says about itself is no address either.
    let client = ada
        .client
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example");
    let answer = client.get("/v1/secrets").await;
    assert_eq!(answer.reason(421), "REGION_UNKNOWN");
    assert!(answer.headers.get("location").is_none());
    let get = method("/causeway.tenancy.v1.SettingsService/GetSettings").unwrap();
    let status = grpc(&mesh, get, &ada).await;
    assert_eq!(status.code(), Code::Unavailable);
    mesh.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_region_every_tenant_is_served_where_it_asks() {
    let (mesh, platform) = owned_by(
        WorkspaceId::generate(),
        &[("REGION_URLS", "eu-west-1=https://eu.example")],
    )
    .await;
    let ada = mesh.account("ada").await;
    decide(&platform, &ada, json!({"region": "eu-west-1"})).await;
    assert_eq!(ada.client.get("/v1/secrets").await.status, 200);
    mesh.end().await;
}
