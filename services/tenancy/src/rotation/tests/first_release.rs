//! Keys of the first release: it had one ring, so the move into the keystore leaves each of them in both.

use zeroize::Zeroizing;

use super::*;
use crate::service::{Field, FieldPlace, Item};

fn item(content: &[u8], context: &[u8]) -> Item {
    Item {
        content: Zeroizing::new(content.to_vec()),
        context: context.to_vec(),
    }
}

impl Stage {
    /// The same wrapped bytes in both rings.
    async fn one_key_in_both_rings(&self, process: &Process) {
        let at = context("RotateKey", self.owner.clone()).now;
        let keys = process.tenancy.data_keys();
        let made = keys
            .generate(self.workspace(), Ring::Data, 1, KeyState::Active, at)
            .await;
        let (data, _) = made.expect("made");
        let transit = StoredKey {
            ring: Ring::Transit,
            ..data.clone()
        };
        for key in [data, transit] {
            self.store.insert_key(&key).await.expect("inserted");
        }
    }

    async fn decrypt(&self, process: &Process, sealed: &[u8], with: &[u8]) -> Option<Vec<u8>> {
        let ctx = context("Decrypt", self.owner.clone());
        let opened = process.tenancy.decrypt(&ctx, &[item(sealed, with)]).await;
        Some(opened.ok()?.remove(0).content.to_vec())
    }

    async fn open_field(&self, process: &Process, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let place = FieldPlace {
            table: "auth.mfa_factors".to_owned(),
            column: "ciphertext".to_owned(),
            row: "context:Yw==".to_owned(),
            version: 1,
            purpose: "caller's data".to_owned(),
        };
        let content = Zeroizing::new(sealed.to_vec());
        let ctx = context("OpenFields", Caller::service("auth"));
        let fields = [Field { place, content }];
        let opened = process.tenancy.open_fields(&ctx, self.workspace(), &fields).await;
        opened.expect("answered").remove(0)
    }

    /// What the two rings seal is told apart by its place and not by its key.
    async fn each_opens_what_is_its_own(&self, process: &Process, row: &Secret, sealed: &[u8]) {
        let place = format!("{}:{}", row.id, row.name);
        for guess in [place.as_bytes(), row.name.as_str().as_bytes(), b"", b"c"] {
            assert_eq!(self.decrypt(process, &row.sealed, guess).await, None);
        }
        assert_eq!(self.open_field(process, sealed).await, None);
        let opened = self.decrypt(process, sealed, b"c").await;
        assert_eq!(opened.as_deref(), Some(&b"stored elsewhere"[..]));
        let revealed = self.reveal(process, "a").await;
        assert_eq!(revealed.expect("revealed"), "stored here");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_in_both_rings_opens_for_each_what_is_its_own_and_for_transit_after_data_lost_it() {
    for stage in Stage::both().await {
        let process = stage.process();
        stage.one_key_in_both_rings(&process).await;
        stage.put(&process, "a", "stored here").await.expect("stored");
        let row = stage.stored("a").await;
        let ctx = context("Encrypt", stage.owner.clone());
        let sealed = process
            .tenancy
            .encrypt(&ctx, &[item(b"stored elsewhere", b"c")])
            .await;
        let sealed = sealed.expect("sealed").remove(0).content;
        stage.each_opens_what_is_its_own(&process, &row, &sealed).await;

        stage.start(&process, false).await;
        assert_eq!(stage.finish(&process).await.destroyed, [1]);
        assert_eq!(stage.key(1).await.wrapped, None);
        assert_eq!(stage.key_of(Ring::Transit, 1).await.state, KeyState::Active);
        // The row as an old backup has it, too.
        stage.each_opens_what_is_its_own(&process, &row, &sealed).await;

        // An erasure destroys both copies.
        let at = row.created_at;
        let destroyed = stage.store.destroy_keys(stage.workspace(), at).await;
        assert_eq!(destroyed.expect("destroyed"), 2);
        assert_eq!(stage.decrypt(&process, &sealed, b"c").await, None);
    }
}
