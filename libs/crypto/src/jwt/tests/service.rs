use secrecy::SecretString;
use serde_json::json;

use super::super::{ServiceClaims, ServiceTokenKeys, TokenError};
use super::{AccessTokenKey, NOW, SECRET, access_claims, at, forge};

const RPC: &str = "/causeway.audit.v1.AuditService/Append";

pub(super) fn service_keys(root: &str) -> ServiceTokenKeys {
    ServiceTokenKeys::new(&root.into(), None)
}

fn service_claims() -> ServiceClaims {
    ServiceClaims {
        iss: "auth".to_owned(),
        aud: "audit".to_owned(),
        method: RPC.to_owned(),
        jti: "j".to_owned(),
        iat: NOW,
        exp: NOW + 60,
        request_id: "r".to_owned(),
        caller: json!({"kind": "user"}),
    }
}

#[test]
fn a_service_token_is_good_for_one_rpc_of_one_service() {
    let keys = service_keys("root");
    let token = keys.sign(&service_claims()).expect("signed");
    let verify = |aud, method, now| {
        keys.verify(&token, aud, method, at(now))
            .map_err(TokenError::reason)
    };
    assert_eq!(verify("audit", RPC, NOW), Ok(service_claims()));
    assert_eq!(verify("tenancy", RPC, NOW), Err("audience"));
    assert_eq!(verify("audit", "/other", NOW), Err("method"));
    assert_eq!(verify("audit", RPC, NOW - 6), Err("not_yet"));
    assert_eq!(verify("audit", RPC, NOW + 65), Err("expired"));
    let long = ServiceClaims {
        exp: NOW + 61,
        ..service_claims()
    };
    assert_eq!(keys.sign(&long).map_err(TokenError::reason), Err("lifetime"));
}

#[test]
fn only_an_operator_may_name_every_method() {
    let keys = service_keys("root");
    for (iss, allowed) in [("operator", true), ("gateway", false)] {
        let claims = ServiceClaims {
            iss: iss.to_owned(),
            method: "*".to_owned(),
            ..service_claims()
        };
        let token = keys.sign(&claims).expect("signed");
        assert_eq!(
            keys.verify(&token, "audit", RPC, at(NOW)).is_ok(),
            allowed,
            "{iss}"
        );
        assert_eq!(
            keys.verify(&token, "audit", "*", at(NOW)).is_ok(),
            allowed,
            "{iss}"
        );
    }
}

#[test]
fn the_previous_root_verifies_and_never_signs() {
    let (old, new) = (SecretString::from("old"), SecretString::from("new"));
    let rotating = ServiceTokenKeys::new(&new, Some(&old));
    let verify = |keys: &ServiceTokenKeys, token: &str| keys.verify(token, "audit", RPC, at(NOW)).is_ok();
    let from_old = service_keys("old").sign(&service_claims()).expect("signed");
    let from_rotating = rotating.sign(&service_claims()).expect("signed");
    assert!(verify(&rotating, &from_old));
    assert!(verify(&service_keys("new"), &from_rotating));
    assert!(!verify(&service_keys("old"), &from_rotating));
    assert!(!verify(&service_keys("new"), &from_old));
}

#[test]
fn neither_kind_passes_for_the_other_even_under_one_secret() {
    let access = AccessTokenKey::new(&SECRET.into(), None, None);
    let service = service_keys(SECRET);
    let access_token = access.sign(&access_claims()).expect("signed");
    let service_token = service.sign(&service_claims()).expect("signed");
    assert!(access.verify(&service_token, at(NOW)).is_err());
    assert!(service.verify(&access_token, "audit", RPC, at(NOW)).is_err());
    // The root itself is no MAC key: a service token under it is refused.
    let claims = serde_json::to_string(&service_claims()).expect("JSON");
    let under_root = forge(r#"{"alg":"HS256","typ":"svc+jwt"}"#, &claims);
    assert!(service.verify(&under_root, "audit", RPC, at(NOW)).is_err());
}
