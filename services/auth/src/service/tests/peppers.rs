//! How the secrets of machines are stored (C-8, CC-02, TOK-02).

use causeway_crypto::{Peppers, Scheme, StoredSecret, token};
use secrecy::ExposeSecret as _;

use super::clients::client_call;
use super::*;
use crate::domain::{Client, ClientId, ClientSecret, Grant, TokenName};
use crate::store::{ClientStore as _, TokenStore as _};

fn hex(stored: &StoredSecret) -> String {
    stored.hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// CC-02, TOK-02.
#[tokio::test]
async fn nothing_that_is_stored_can_be_used() {
    for pepper in [None, Some("a pepper of thirty-two bytes or more".into())] {
        let world = world_with(|config| config.pepper = pepper);
        let owner = world.person("ada@example.com", Role::Owner).await;
        let made = world.client(&owner, &["secrets.read"]).await;
        let (id, stored) = (made.client.id.to_string(), made.client.secrets[0].stored.clone());
        let hash = hex(&stored);
        for shown in [
            hash.clone(),
            format!("cw_cs_{hash}"),
            format!("v0${hash}"),
            made.client.secrets[0].id.to_string(),
        ] {
            assert_eq!(
                reason(world.granted(&id, &shown.into(), 0).await),
                "INVALID_CLIENT"
            );
        }
        let key = world.key(&owner, &["secrets.read"]).await;
        let forms = Peppers::new(None, None).forms(key.secret.expose_secret());
        let hash = hex(forms.newest());
        for shown in [hash.clone(), format!("cw_key_{hash}"), key.token.id.to_string()] {
            assert_eq!(reason(world.proves(&shown.into(), 0).await), "UNAUTHENTICATED");
        }
    }
}

#[tokio::test]
async fn what_was_stored_without_the_pepper_is_renewed_when_it_is_used() {
    let (former, present) = ("the former pepper", "the present pepper");
    let world = world_with(|config| {
        config.pepper = Some(present.into());
        config.former_pepper = Some(former.into());
    });
    let owner = world.person("ada@example.com", Role::Owner).await;
    for old in [Peppers::new(None, None), Peppers::new(Some(&former.into()), None)] {
        let made = world.key(&owner, &["secrets.read"]).await;
        let forms = Peppers::new(Some(&present.into()), None).forms(made.secret.expose_secret());
        let stale = old.forms(made.secret.expose_secret()).newest().clone();
        world
            .store
            .rehash_token(&forms.newest().hash, &stale)
            .await
            .expect("as an older program left it");
        world.proves(&made.secret, 1).await.expect("accepted");
        let found = world.store.find_token(&[forms.newest().hash]).await.unwrap();
        assert_eq!(found.expect("renewed").1, *forms.newest());
        assert_eq!(world.store.find_token(&[stale.hash]).await.unwrap(), None);

        let secret = token::mint(token::CLIENT_SECRET).secret;
        let client = stored_client(&owner, old.forms(secret.expose_secret()).newest().clone());
        let ctx = client_call("CreateClient", &owner, 0);
        let fact = OutboxEvent::of(&ctx).expect("audited");
        world.store.insert_client(&client, fact).await.expect("stored");
        world
            .granted(&client.id.to_string(), &secret, 1)
            .await
            .expect("accepted");
        let found = world
            .store
            .find_client(client.workspace, client.id)
            .await
            .unwrap();
        let scheme = &found.expect("kept").secrets[0].stored.scheme;
        assert!(
            matches!(scheme, Scheme::HmacSha256 { .. }),
            "rehashed on use (CC-02)"
        );
    }
}

#[tokio::test]
async fn another_pepper_alone_voids_what_was_stored() {
    let world = world_with(|config| config.pepper = Some("the present pepper".into()));
    let owner = world.person("ada@example.com", Role::Owner).await;
    let secret = token::mint(token::CLIENT_SECRET).secret;
    let former = Peppers::new(Some(&"the former pepper".into()), None);
    let client = stored_client(&owner, former.forms(secret.expose_secret()).newest().clone());
    let fact = OutboxEvent::of(&client_call("CreateClient", &owner, 0)).expect("audited");
    world.store.insert_client(&client, fact).await.expect("stored");
    assert_eq!(
        reason(world.granted(&client.id.to_string(), &secret, 1).await),
        "INVALID_CLIENT"
    );
}

fn stored_client(owner: &Caller, stored: StoredSecret) -> Client {
    Client {
        id: ClientId::generate(),
        workspace: owner.workspace.unwrap(),
        name: TokenName::parse("old").expect("a name"),
        scopes: Vec::new(),
        grants: vec![Grant::ClientCredentials],
        disabled: false,
        granted_by: owner.user().unwrap(),
        created_at: at(0),
        deleted_at: None,
        revision: 0,
        secrets: vec![ClientSecret {
            id: uuid::Uuid::now_v7(),
            stored,
            last_four: "abcd".to_owned(),
            created_at: at(0),
            expires_at: None,
        }],
    }
}
