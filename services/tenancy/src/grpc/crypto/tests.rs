use super::*;
use crate::grpc::tests::{World, fields, refused, request_to, world};

fn call<T>(world: &World, rpc: &str, message: T) -> Request<T> {
    request_to("CryptoService", rpc, &world.caller, message)
}

fn sealing(plaintext: &[u8], context: &[u8]) -> wire::EncryptRequest {
    wire::EncryptRequest {
        plaintext: plaintext.to_vec(),
        context: context.to_vec(),
    }
}

impl World {
    async fn seal(&self, plaintext: &[u8], context: &[u8]) -> Answer<wire::EncryptResponse> {
        let message = sealing(plaintext, context);
        self.grpc.encrypt(call(self, "Encrypt", message)).await
    }

    async fn open(&self, ciphertext: &[u8], context: &[u8]) -> Answer<wire::DecryptResponse> {
        let message = wire::DecryptRequest {
            ciphertext: ciphertext.to_vec(),
            context: context.to_vec(),
        };
        self.grpc.decrypt(call(self, "Decrypt", message)).await
    }

    async fn seal_all(&self, items: Vec<wire::EncryptRequest>) -> Answer<wire::BatchEncryptResponse> {
        let message = wire::BatchEncryptRequest { items };
        self.grpc.batch_encrypt(call(self, "BatchEncrypt", message)).await
    }
}

#[tokio::test]
async fn the_largest_content_and_context_come_back() {
    let world = world().await;
    let (content, context) = (vec![7; CONTENT_BYTES], vec![8; CONTEXT_BYTES]);
    let sealed = world.seal(&content, &context).await.expect("sealed").into_inner();
    assert_eq!(sealed.key_version, 1);
    let opened = world.open(&sealed.ciphertext, &context).await.expect("opened");
    let opened = opened.into_inner();
    assert_eq!((opened.plaintext, opened.key_version), (content, 1));
    let answer = world.open(&sealed.ciphertext, b"other").await;
    assert_eq!(refused(answer).reason, "DECRYPTION_FAILED");
}

#[tokio::test]
async fn sizes_outside_of_the_limits_are_refused() {
    let world = world().await;
    let long = vec![0; CONTENT_BYTES + OVERHEAD_BYTES + 1];
    let context = vec![0; CONTEXT_BYTES + 1];
    assert_eq!(fields(world.seal(b"", &context).await), ["plaintext", "context"]);
    assert_eq!(fields(world.seal(&long, b"").await), ["plaintext"]);
    assert_eq!(fields(world.open(b"", &context).await), ["ciphertext", "context"]);
    assert_eq!(fields(world.open(&long, b"").await), ["ciphertext"]);
    assert_eq!(fields(world.seal_all(Vec::new()).await), ["items"]);
    assert_eq!(
        fields(world.seal_all(vec![sealing(b"a", b""); MOST_ITEMS + 1]).await),
        ["items"]
    );
    let mixed = vec![sealing(b"a", b""), sealing(b"", b""), sealing(b"a", &context)];
    assert_eq!(
        fields(world.seal_all(mixed).await),
        ["items[1].plaintext", "items[2].context"]
    );
}

#[tokio::test]
async fn a_batch_keeps_its_order() {
    let world = world().await;
    let items = (0..100_u8).map(|number| sealing(&[number], b"c")).collect();
    let sealed = world.seal_all(items).await.expect("sealed").into_inner().items;
    let items = sealed
        .into_iter()
        .map(|sealed| wire::DecryptRequest {
            ciphertext: sealed.ciphertext,
            context: b"c".to_vec(),
        })
        .collect();
    let message = wire::BatchDecryptRequest { items };
    let opened = world
        .grpc
        .batch_decrypt(call(&world, "BatchDecrypt", message))
        .await
        .expect("opened")
        .into_inner();
    let numbers: Vec<u8> = opened.items.iter().map(|item| item.plaintext[0]).collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}
