//! The generated server trait: decode, one use case, encode.

use causeway_context::CallContext;
use causeway_contracts::audit::v1 as wire;
use causeway_contracts::audit::v1::audit_service_server::AuditService;
use tonic::{Request, Response, Status};

use crate::merkle::Hash;
use crate::service::AuditLog;
use crate::wire::{entry, natural, number, own_events, relayed_events, search, size, token};

/// The RPCs of the log.
pub(crate) struct AuditRpc(pub(crate) AuditLog);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AuditService for AuditRpc {
    async fn append_events(
        &self,
        request: Request<wire::AppendEventsRequest>,
    ) -> Answer<wire::AppendEventsResponse> {
        let ctx = CallContext::of(&request)?;
        let events = own_events(&ctx, request.into_inner().events)?;
        let seqs = self.0.append(&ctx, events).await?;
        Ok(Response::new(wire::AppendEventsResponse {
            seqs: seqs.into_iter().map(number).collect(),
        }))
    }

    async fn relay_events(
        &self,
        request: Request<wire::RelayEventsRequest>,
    ) -> Answer<wire::RelayEventsResponse> {
        let ctx = CallContext::of(&request)?;
        self.0
            .relay(&ctx, relayed_events(request.into_inner().events)?)
            .await?;
        Ok(Response::new(wire::RelayEventsResponse {}))
    }

    async fn list_events(
        &self,
        request: Request<wire::ListEventsRequest>,
    ) -> Answer<wire::ListEventsResponse> {
        let ctx = CallContext::of(&request)?;
        let (filter, cursor, page_size) = search(request.into_inner())?;
        let page = self.0.list(&ctx, &filter, cursor, page_size).await?;
        Ok(Response::new(wire::ListEventsResponse {
            entries: page.entries.into_iter().map(entry).collect(),
            next_page_token: token(page.next),
        }))
    }

    async fn get_event(&self, request: Request<wire::GetEventRequest>) -> Answer<wire::GetEventResponse> {
        let ctx = CallContext::of(&request)?;
        let found = self
            .0
            .get(&ctx, natural("seq", request.into_inner().seq)?)
            .await?;
        Ok(Response::new(wire::GetEventResponse {
            entry: Some(entry(found)),
        }))
    }

    async fn get_root(&self, request: Request<wire::GetRootRequest>) -> Answer<wire::GetRootResponse> {
        let ctx = CallContext::of(&request)?;
        let (size, root) = self.0.root(&ctx).await?;
        Ok(Response::new(wire::GetRootResponse {
            size: number(size),
            root_hash: root.to_string(),
        }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<wire::GetInclusionProofRequest>,
    ) -> Answer<wire::GetInclusionProofResponse> {
        let ctx = CallContext::of(&request)?;
        let wire::GetInclusionProofRequest { seq, size: asked } = request.into_inner();
        let found = self
            .0
            .inclusion(&ctx, natural("seq", seq)?, size("size", asked)?)
            .await?;
        Ok(Response::new(wire::GetInclusionProofResponse {
            seq,
            size: number(found.size),
            leaf_hash: found.leaf_hash.to_string(),
            root_hash: found.root.to_string(),
            hashes: found.proof.iter().map(Hash::to_string).collect(),
        }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<wire::GetConsistencyProofRequest>,
    ) -> Answer<wire::GetConsistencyProofResponse> {
        let ctx = CallContext::of(&request)?;
        let wire::GetConsistencyProofRequest { from, to } = request.into_inner();
        let found = self
            .0
            .consistency(&ctx, natural("from", from)?, size("to", to)?)
            .await?;
        Ok(Response::new(wire::GetConsistencyProofResponse {
            from,
            to: number(found.to),
            from_root_hash: found.from_root.to_string(),
            to_root_hash: found.to_root.to_string(),
            hashes: found.proof.iter().map(Hash::to_string).collect(),
        }))
    }

    async fn verify_log(&self, request: Request<wire::VerifyLogRequest>) -> Answer<wire::VerifyLogResponse> {
        let ctx = CallContext::of(&request)?;
        let report = self.0.verify(&ctx).await?;
        Ok(Response::new(wire::VerifyLogResponse {
            valid: report.findings.is_empty(),
            size: number(report.size),
            root_hash: report.root.to_string(),
            findings: report.findings,
        }))
    }
}
