//! Erasures and exports over gRPC.

use std::pin::Pin;

use causeway_context::{CallContext, UserId, WorkspaceId, from_timestamp, to_timestamp};
use causeway_contracts::google::api::HttpBody;
use causeway_contracts::tenancy::v1::erasure_service_server::ErasureService;
use causeway_contracts::tenancy::v1::export_service_server::ExportService;
use causeway_contracts::tenancy::v1::{self as wire};
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt as _};
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Answer, Fields, Grpc, refuse};
use crate::domain::{Erasure, Export, Invalid, Receipt, beginning, recipient};

const NDJSON: &str = "application/x-ndjson";
const AGE: &str = "application/age-encrypted";

impl Grpc {
    /// Orders the erasure of a workspace.
    pub(super) async fn order_deletion(
        &self,
        request: Request<wire::DeleteWorkspaceRequest>,
    ) -> Answer<wire::DeleteWorkspaceResponse> {
        let ctx = CallContext::of(&request)?;
        let mut fields = Fields::default();
        let Some(id) = fields.check("id", WorkspaceId::named(&request.get_ref().id)) else {
            return Err(fields.refuse());
        };
        let erasure = self.0.delete_workspace(&ctx, id).await.map_err(refuse)?;
        Ok(Response::new(wire::DeleteWorkspaceResponse {
            erasure: Some(erasure.into()),
        }))
    }
}

fn id(fields: &mut Fields, text: &str) -> Option<Uuid> {
    fields.check("id", Uuid::try_parse(text).map_err(|_| "must be a UUID"))
}

fn begins(asked: Option<prost_types::Timestamp>, now: DateTime<Utc>) -> Result<DateTime<Utc>, Invalid> {
    let asked = match asked {
        None => None,
        Some(timestamp) => Some(from_timestamp(timestamp).ok_or("must be a time")?),
    };
    beginning(asked, now)
}

fn subject(text: &str) -> Result<Option<UserId>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|error: causeway_context::IdError| error.to_string())
}

#[tonic::async_trait]
impl ErasureService for Grpc {
    async fn create_erasure(
        &self,
        request: Request<wire::CreateErasureRequest>,
    ) -> Answer<wire::CreateErasureResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let subject = fields.check("subject", subject(&request.subject));
        let begins = fields.check("scheduled_for", begins(request.scheduled_for, ctx.now));
        let (Some(subject), Some(begins)) = (subject, begins) else {
            return Err(fields.refuse());
        };
        let erasure = self
            .0
            .create_erasure(&ctx, subject, begins)
            .await
            .map_err(refuse)?;
        Ok(Response::new(wire::CreateErasureResponse {
            erasure: Some(erasure.into()),
        }))
    }

    async fn get_erasure(
        &self,
        request: Request<wire::GetErasureRequest>,
    ) -> Answer<wire::GetErasureResponse> {
        let ctx = CallContext::of(&request)?;
        let mut fields = Fields::default();
        let Some(id) = id(&mut fields, &request.get_ref().id) else {
            return Err(fields.refuse());
        };
        let erasure = self.0.erasure(&ctx, id).await.map_err(refuse)?;
        Ok(Response::new(wire::GetErasureResponse {
            erasure: Some(erasure.into()),
        }))
    }

    async fn list_erasures(
        &self,
        request: Request<wire::ListErasuresRequest>,
    ) -> Answer<wire::ListErasuresResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let Some(page) = fields.page(request.page_size, &request.page_token) else {
            return Err(fields.refuse());
        };
        let (erasures, next_page_token) = self.0.erasures(&ctx, &page).await.map_err(refuse)?;
        Ok(Response::new(wire::ListErasuresResponse {
            erasures: erasures.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    async fn cancel_erasure(
        &self,
        request: Request<wire::CancelErasureRequest>,
    ) -> Answer<wire::CancelErasureResponse> {
        let ctx = CallContext::of(&request)?;
        let mut fields = Fields::default();
        let Some(id) = id(&mut fields, &request.get_ref().id) else {
            return Err(fields.refuse());
        };
        let erasure = self.0.cancel_erasure(&ctx, id).await.map_err(refuse)?;
        Ok(Response::new(wire::CancelErasureResponse {
            erasure: Some(erasure.into()),
        }))
    }
}

#[tonic::async_trait]
impl ExportService for Grpc {
    type DownloadExportStream = Pin<Box<dyn Stream<Item = Result<HttpBody, Status>> + Send>>;

    async fn create_export(
        &self,
        request: Request<wire::CreateExportRequest>,
    ) -> Answer<wire::CreateExportResponse> {
        let ctx = CallContext::of(&request)?;
        let mut fields = Fields::default();
        let recipient = fields.check("age_recipient", recipient(&request.get_ref().age_recipient));
        let Some(recipient) = recipient else {
            return Err(fields.refuse());
        };
        let export = self.0.create_export(&ctx, recipient).await.map_err(refuse)?;
        Ok(Response::new(wire::CreateExportResponse {
            export: Some(export.into()),
        }))
    }

    async fn get_export(&self, request: Request<wire::GetExportRequest>) -> Answer<wire::GetExportResponse> {
        let ctx = CallContext::of(&request)?;
        let mut fields = Fields::default();
        let Some(id) = id(&mut fields, &request.get_ref().id) else {
            return Err(fields.refuse());
        };
        let export = self.0.export(&ctx, id).await.map_err(refuse)?;
        Ok(Response::new(wire::GetExportResponse {
            export: Some(export.into()),
        }))
    }

    async fn list_exports(
        &self,
        request: Request<wire::ListExportsRequest>,
    ) -> Answer<wire::ListExportsResponse> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let Some(page) = fields.page(request.page_size, &request.page_token) else {
            return Err(fields.refuse());
        };
        let (exports, next_page_token) = self.0.exports(&ctx, &page).await.map_err(refuse)?;
        Ok(Response::new(wire::ListExportsResponse {
            exports: exports.into_iter().map(Into::into).collect(),
            next_page_token,
        }))
    }

    /// How many bytes there are, and their SHA-256, go ahead of the first message, for whoever makes HTTP of it.
    async fn download_export(
        &self,
        request: Request<wire::DownloadExportRequest>,
    ) -> Answer<Self::DownloadExportStream> {
        let ctx = CallContext::of(&request)?;
        let (request, mut fields) = (request.into_inner(), Fields::default());
        let id = id(&mut fields, &request.id);
        let offset = u64::try_from(request.offset).map_err(|_| "must not be negative");
        let (Some(id), Some(offset)) = (id, fields.check("offset", offset)) else {
            return Err(fields.refuse());
        };
        let (export, pieces) = self.0.download_export(&ctx, id, offset).await.map_err(refuse)?;
        let kind = if export.age_recipient.is_some() {
            AGE
        } else {
            NDJSON
        };
        let bodies = pieces.map(move |piece| {
            let data = piece.map_err(refuse)?;
            Ok(HttpBody {
                content_type: kind.to_owned(),
                data: data.into(),
                extensions: Vec::new(),
            })
        });
        let mut response = Response::new(Box::pin(bodies) as Self::DownloadExportStream);
        let headers = response.metadata_mut();
        headers.insert(
            "x-causeway-body-size",
            MetadataValue::from(export.content.size_bytes),
        );
        if let Ok(sha256) = export.content.sha256.parse() {
            headers.insert("x-causeway-body-sha256", sha256);
        }
        Ok(response)
    }
}

impl From<Erasure> for wire::Erasure {
    fn from(erasure: Erasure) -> Self {
        Self {
            id: erasure.id.to_string(),
            workspace_id: erasure.workspace.to_string(),
            subject: erasure
                .subject
                .map(|subject| subject.to_string())
                .unwrap_or_default(),
            state: erasure.state.as_str().to_owned(),
            requested_by: erasure.requested_by.to_string(),
            requested_at: Some(to_timestamp(erasure.requested_at)),
            scheduled_for: Some(to_timestamp(erasure.scheduled_for)),
            receipt: erasure.receipt.map(Into::into),
        }
    }
}

impl From<Receipt> for wire::ErasureReceipt {
    fn from(receipt: Receipt) -> Self {
        let counts = receipt.done.counts.into_iter().map(|count| wire::ErasureCount {
            table: count.table,
            rows: signed(count.rows),
        });
        let retained = receipt
            .done
            .retained
            .into_iter()
            .map(|kept| wire::ErasureRetained {
                what: kept.what,
                why: kept.why,
            });
        Self {
            sequence: signed(receipt.sequence),
            erasure_id: receipt.erasure.to_string(),
            completed_at: Some(to_timestamp(receipt.done.completed_at)),
            effective_at: Some(to_timestamp(receipt.done.effective_at)),
            destroyed_keys: signed(receipt.done.destroyed_keys),
            counts: counts.collect(),
            retained: retained.collect(),
            previous_hash: receipt.previous_hash,
            hash: receipt.hash,
            workspace_id: receipt.workspace.to_string(),
            subject: receipt
                .subject
                .map(|subject| subject.to_string())
                .unwrap_or_default(),
            requested_by: receipt.requested_by.to_string(),
            requested_at: Some(to_timestamp(receipt.requested_at)),
        }
    }
}

impl From<Export> for wire::Export {
    fn from(export: Export) -> Self {
        let tables = export
            .content
            .tables
            .into_iter()
            .map(|table| wire::ExportedTable {
                table: table.table,
                rows: signed(table.rows),
                sha256: table.sha256,
            });
        Self {
            id: export.id.to_string(),
            state: export.state.as_str().to_owned(),
            age_recipient: export.age_recipient.unwrap_or_default(),
            created_at: Some(to_timestamp(export.created_at)),
            expires_at: Some(to_timestamp(export.expires_at)),
            size_bytes: signed(export.content.size_bytes),
            sha256: export.content.sha256,
            tables: tables.collect(),
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
