//! Whose rights ended or changed, for gateways.

use std::sync::Arc;

use causeway_context::CallContext;
use causeway_contracts::common::v1 as wire;
use causeway_contracts::tenancy::v1::revocation_service_server::RevocationService;
use causeway_revocation::Revocations;
use tonic::{Request, Response, Status};

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
    ) -> Result<Response<wire::ListRevocationsResponse>, Status> {
        let ctx = CallContext::of(&request)?;
        let answer = causeway_revocation::list(&*self.0, &ctx, request.into_inner()).await?;
        Ok(Response::new(answer))
    }
}
