//! Sealing and opening over gRPC.

use causeway_context::CallContext;
use causeway_contracts::tenancy::v1::crypto_service_server::CryptoService;
use causeway_contracts::tenancy::v1::{self as wire};
use causeway_crypto::OVERHEAD_BYTES;
use causeway_errors::ApiError;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use super::{Answer, Fields, Grpc, refuse};
use crate::service::{Item, OpenedItem, SealedItem};

const CONTENT_BYTES: usize = 65_536;
const CONTEXT_BYTES: usize = 4096;
const MOST_ITEMS: usize = 1000;

#[tonic::async_trait]
impl CryptoService for Grpc {
    async fn encrypt(&self, request: Request<wire::EncryptRequest>) -> Answer<wire::EncryptResponse> {
        let ctx = CallContext::of(&request)?;
        let item = only(request.into_inner())?;
        let sealed = self.0.encrypt(&ctx, &[item]).await.map_err(refuse)?;
        answer_one(sealed)
    }

    async fn decrypt(&self, request: Request<wire::DecryptRequest>) -> Answer<wire::DecryptResponse> {
        let ctx = CallContext::of(&request)?;
        let item = only(request.into_inner())?;
        let opened = self.0.decrypt(&ctx, &[item]).await.map_err(refuse)?;
        answer_one(opened)
    }

    async fn batch_encrypt(
        &self,
        request: Request<wire::BatchEncryptRequest>,
    ) -> Answer<wire::BatchEncryptResponse> {
        let ctx = CallContext::of(&request)?;
        let items = all(request.into_inner().items)?;
        let sealed = self.0.encrypt(&ctx, &items).await.map_err(refuse)?;
        let items = sealed.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::BatchEncryptResponse { items }))
    }

    async fn batch_decrypt(
        &self,
        request: Request<wire::BatchDecryptRequest>,
    ) -> Answer<wire::BatchDecryptResponse> {
        let ctx = CallContext::of(&request)?;
        let items = all(request.into_inner().items)?;
        let opened = self.0.decrypt(&ctx, &items).await.map_err(refuse)?;
        let items = opened.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::BatchDecryptResponse { items }))
    }

    async fn rewrap_items(
        &self,
        request: Request<wire::RewrapItemsRequest>,
    ) -> Answer<wire::RewrapItemsResponse> {
        let ctx = CallContext::of(&request)?;
        let items = all(request.into_inner().items)?;
        let sealed = self.0.rewrap(&ctx, &items).await.map_err(refuse)?;
        let items = sealed.into_iter().map(Into::into).collect();
        Ok(Response::new(wire::RewrapItemsResponse { items }))
    }
}

/// A message that holds something to seal or to open.
trait Crypt {
    /// The field that holds it.
    const FIELD: &'static str;
    /// How long it may be, and how that is said.
    const LONGEST: (usize, &'static str);

    fn into_item(self) -> Item;
}

impl Crypt for wire::EncryptRequest {
    const FIELD: &'static str = "plaintext";
    const LONGEST: (usize, &'static str) = (CONTENT_BYTES, "must have 1 to 65536 bytes");

    fn into_item(self) -> Item {
        Item {
            content: Zeroizing::new(self.plaintext),
            context: self.context,
        }
    }
}

impl Crypt for wire::DecryptRequest {
    const FIELD: &'static str = "ciphertext";
    const LONGEST: (usize, &'static str) = (
        CONTENT_BYTES + OVERHEAD_BYTES,
        "is empty or longer than an envelope",
    );

    fn into_item(self) -> Item {
        Item {
            content: Zeroizing::new(self.ciphertext),
            context: self.context,
        }
    }
}

fn item<R: Crypt>(fields: &mut Fields, prefix: &str, request: R) -> Option<Item> {
    let item = request.into_item();
    let (longest, wrong) = R::LONGEST;
    let content = (1..=longest).contains(&item.content.len());
    let content = fields.check(
        &format!("{prefix}{}", R::FIELD),
        content.then_some(()).ok_or(wrong),
    );
    let context = (item.context.len() <= CONTEXT_BYTES).then_some(());
    let context = fields.check(
        &format!("{prefix}context"),
        context.ok_or("must have at most 4096 bytes"),
    );
    content.and(context).map(|()| item)
}

fn only<R: Crypt>(request: R) -> Result<Item, Status> {
    let mut fields = Fields::default();
    item(&mut fields, "", request).ok_or_else(|| fields.refuse())
}

fn all<R: Crypt>(requests: Vec<R>) -> Result<Vec<Item>, Status> {
    let mut fields = Fields::default();
    if !(1..=MOST_ITEMS).contains(&requests.len()) {
        return Err(ApiError::invalid("items", "must be 1 to 1000").into());
    }
    let items: Vec<Option<Item>> = requests
        .into_iter()
        .enumerate()
        .map(|(index, request)| item(&mut fields, &format!("items[{index}]."), request))
        .collect();
    let items: Option<Vec<Item>> = items.into_iter().collect();
    items.ok_or_else(|| fields.refuse())
}

fn answer_one<I, T: From<I>>(done: Vec<I>) -> Answer<T> {
    let one = done.into_iter().next().ok_or_else(ApiError::internal)?;
    Ok(Response::new(one.into()))
}

fn version(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

impl From<SealedItem> for wire::EncryptResponse {
    fn from(sealed: SealedItem) -> Self {
        Self {
            ciphertext: sealed.content,
            key_version: version(sealed.key_version),
        }
    }
}

impl From<OpenedItem> for wire::DecryptResponse {
    fn from(mut opened: OpenedItem) -> Self {
        Self {
            plaintext: std::mem::take(&mut *opened.content),
            key_version: version(opened.key_version),
        }
    }
}

#[cfg(test)]
mod tests;
