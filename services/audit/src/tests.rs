//! The RPCs, as a client of the mesh sees them.

mod append;
mod prove;
mod read;
mod relay;

use std::collections::HashSet;
use std::sync::Arc;

use causeway_context::{CallContext, Caller, RequestId, UserId, WorkspaceId};
use causeway_contracts::audit::v1 as wire;
use causeway_contracts::audit::v1::audit_service_server::AuditService as _;
use causeway_contracts::{CallerKind, Role, method, to_struct};
use causeway_errors::{ApiError, Code};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tonic::Request;
use uuid::Uuid;

use crate::grpc::AuditRpc;
use crate::merkle::{Edge, Hash, leaf_hash, verify_consistency, verify_inclusion};
use crate::service::AuditLog;
use crate::store::MemoryAuditStore;

struct Person {
    user: UserId,
    workspace: WorkspaceId,
}

fn person() -> Person {
    Person {
        user: UserId::generate(),
        workspace: WorkspaceId::generate(),
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

impl Person {
    fn ask<T>(&self, rpc: &str, message: T) -> Request<T> {
        let owner = [Role::Owner];
        let caller = Caller::person(
            CallerKind::User,
            self.user,
            self.workspace,
            &owner,
            &[],
            String::new(),
        );
        request(caller, rpc, message)
    }
}

fn request<T>(caller: Caller, rpc: &str, message: T) -> Request<T> {
    let method = method(&format!("/causeway.audit.v1.AuditService/{rpc}")).unwrap();
    let mut request = Request::new(message);
    request
        .extensions_mut()
        .insert(CallContext::new(caller, method, RequestId::generate(), now()));
    request
}

fn rpc() -> AuditRpc {
    AuditRpc(AuditLog::new(Arc::new(MemoryAuditStore::default())))
}

fn placed(target: &str) -> wire::Event {
    wire::Event {
        action: "order.placed".to_owned(),
        target_id: target.to_owned(),
        ..wire::Event::default()
    }
}

async fn append(rpc: &AuditRpc, person: &Person, events: Vec<wire::Event>) -> Result<Vec<i64>, ApiError> {
    let answer = rpc
        .append_events(person.ask("AppendEvents", wire::AppendEventsRequest { events }))
        .await;
    answer
        .map(|answer| answer.into_inner().seqs)
        .map_err(ApiError::from)
}

async fn list(rpc: &AuditRpc, person: &Person, request: wire::ListEventsRequest) -> wire::ListEventsResponse {
    rpc.list_events(person.ask("ListEvents", request))
        .await
        .unwrap()
        .into_inner()
}

async fn root(rpc: &AuditRpc, person: &Person) -> wire::GetRootResponse {
    rpc.get_root(person.ask("GetRoot", wire::GetRootRequest {}))
        .await
        .unwrap()
        .into_inner()
}

async fn numbered(rpc: &AuditRpc, person: &Person, count: usize) {
    append(
        rpc,
        person,
        (0..count).map(|number| placed(&number.to_string())).collect(),
    )
    .await
    .unwrap();
}

fn fields(error: &ApiError) -> Vec<&str> {
    error
        .violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect()
}

fn seqs(entries: &[wire::Entry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.seq).collect()
}
