//! What ended, for gateways.

use std::sync::Arc;

use causeway_contracts::auth::v1::revocation_service_server::RevocationService;
use causeway_contracts::common::v1 as wire;
use causeway_revocation::Revocations;

use super::{Answer, Request, Response, call};

/// Tells gateways what ended.
pub(crate) struct RevocationRpc(Arc<dyn Revocations>);

impl RevocationRpc {
    /// Tells of those revocations.
    pub(crate) fn new(revocations: Arc<dyn Revocations>) -> Self {
        Self(revocations)
    }
}

#[tonic::async_trait]
impl RevocationService for RevocationRpc {
    async fn list_revocations(
        &self,
        request: Request<wire::ListRevocationsRequest>,
    ) -> Answer<wire::ListRevocationsResponse> {
        let (ctx, request) = call(request)?;
        let answer = causeway_revocation::list(&*self.0, &ctx, request).await?;
        Ok(Response::new(answer))
    }
}
