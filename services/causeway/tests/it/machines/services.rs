//! Service tokens are of the mesh: at the door they are nothing (SVC-01, SVC-02).

use causeway_contracts::{METHODS, Rule};
use causeway_crypto::{ServiceClaims, ServiceTokenKeys};
use chrono::Utc;
use serde_json::json;

use crate::mesh::Mesh;
use crate::walk;

const ROOT: &str = "the root of service tokens, 32 bytes or more";

/// A token that each service would take, of an operator and of the gateway itself with a caller of its making.
fn genuine(method: &str, owner: &str) -> [String; 2] {
    let keys = ServiceTokenKeys::new(&ROOT.into(), None);
    #[expect(clippy::disallowed_methods, reason = "a token lives by the clock")]
    let now = Utc::now().timestamp();
    let caller = json!({"kind": "user", "id": uuid::Uuid::now_v7(), "workspace": uuid::Uuid::now_v7(),
        "permissions": ["secrets.read"], "roles": ["owner"], "credential_id": "", "mfa": true});
    [("operator", "*", json!(null)), ("gateway", method, caller)].map(|(iss, method, caller)| {
        let claims = ServiceClaims {
            iss: iss.to_owned(),
            aud: owner.to_owned(),
            method: method.to_owned(),
            jti: "1".to_owned(),
            iat: now,
            exp: now + 30,
            request_id: "r".to_owned(),
            caller,
        };
        keys.sign(&claims).expect("signed")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_token_from_outside_proves_nobody() {
    let mesh = Mesh::with(&[("INTERNAL_SERVICE_SECRET", ROOT)]).await;
    for method in METHODS.iter().filter(|method| method.rule != Rule::Public) {
        for token in genuine(method.path, method.owner) {
            let code = walk::grpc(&mesh, method, Some(&token)).await;
            let refused = match method.rule {
                Rule::Internal => tonic::Code::Unimplemented,
                _ => tonic::Code::Unauthenticated,
            };
            assert_eq!(code, refused, "{}", method.path);
        }
    }
    let [operator, gateway] = genuine("/causeway.tenancy.v1.TenancyService/ListSecrets", "tenancy");
    for token in [&operator, &gateway] {
        for shown in [
            mesh.anonymous().bearer(token),
            mesh.anonymous().header("x-api-key", token),
        ] {
            assert_eq!(shown.get("/v1/secrets").await.reason(401), "UNAUTHENTICATED");
        }
        // Beside a credential, in the mesh's own header: it is not even seen.
        let account = mesh.account("beside").await;
        for name in [
            "x-causeway-authorization",
            "x-internal-token",
            "X-Internal-Service-Secret",
        ] {
            let client = account.client.header(name, token).header(name, ROOT);
            client.get("/v1/secrets").await.json(200);
            let alone = mesh.anonymous().header(name, ROOT).get("/v1/secrets").await;
            assert_eq!(alone.reason(401), "UNAUTHENTICATED", "{name}");
        }
    }
    mesh.end().await;
}
