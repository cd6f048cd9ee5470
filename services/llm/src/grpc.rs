//! The RPCs: decode, one use case, encode.

use std::sync::Arc;

use causeway_context::CallContext;
use causeway_contracts::llm::v1 as wire;
use causeway_contracts::llm::v1::llm_service_server::LlmService;
use causeway_errors::ApiError;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::domain::{Conversation, Draft, Usage};
use crate::service::{Heading, Llm, Part};

const MAX_MODEL_BYTES: usize = 256;

/// The service on the wire.
pub(crate) struct Grpc(pub Arc<Llm>);

#[tonic::async_trait]
impl LlmService for Grpc {
    async fn generate(
        &self,
        request: Request<wire::GenerateRequest>,
    ) -> Result<Response<wire::GenerateResponse>, Status> {
        let (ctx, deadline) = (CallContext::of(&request)?, deadline(request.metadata()));
        let (model, conversation) = decode(request.into_inner())?;
        let answer = self.0.generate(&ctx, &model, conversation, deadline).await?;
        let Heading {
            id,
            model,
            provider,
            attempts,
            created,
        } = answer.heading;
        Ok(Response::new(wire::GenerateResponse {
            id: id.to_string(),
            model,
            provider: provider.to_owned(),
            content: answer.content,
            finish_reason: answer.finish.as_str().to_owned(),
            usage: Some(encode_usage(answer.usage)),
            attempts: clamp(attempts),
            created,
        }))
    }

    type GenerateStreamStream = BoxStream<'static, Result<wire::GenerateStreamResponse, Status>>;

    async fn generate_stream(
        &self,
        request: Request<wire::GenerateStreamRequest>,
    ) -> Result<Response<Self::GenerateStreamStream>, Status> {
        let (ctx, deadline) = (CallContext::of(&request)?, deadline(request.metadata()));
        let inner = request
            .into_inner()
            .request
            .ok_or_else(|| ApiError::invalid("request", "is required"))?;
        let (model, conversation) = decode(inner)?;
        let (heading, parts) = self.0.stream(&ctx, &model, conversation, deadline).await?;
        let parts = parts.map(move |part| Ok(encode_part(&heading, part?)));
        Ok(Response::new(parts.boxed()))
    }

    async fn list_models(
        &self,
        request: Request<wire::ListModelsRequest>,
    ) -> Result<Response<wire::ListModelsResponse>, Status> {
        let ctx = CallContext::of(&request)?;
        let models = self
            .0
            .selection(&ctx)
            .await?
            .models()
            .into_iter()
            .map(|(id, provider)| wire::Model {
                id,
                object: "model".to_owned(),
                created: 0,
                owned_by: provider.to_owned(),
            });
        Ok(Response::new(wire::ListModelsResponse {
            object: "list".to_owned(),
            data: models.collect(),
        }))
    }

    async fn list_providers(
        &self,
        request: Request<wire::ListProvidersRequest>,
    ) -> Result<Response<wire::ListProvidersResponse>, Status> {
        let ctx = CallContext::of(&request)?;
        let selection = self.0.selection(&ctx).await?;
        let providers = selection.candidates().iter().map(|candidate| wire::Provider {
            name: candidate.name().to_owned(),
            usable: candidate.why_unusable().is_none(),
            reason: candidate.why_unusable().unwrap_or_default().to_owned(),
            last_error: candidate.last_error().to_owned(),
        });
        let selected_by = selection.group().as_str().to_owned();
        Ok(Response::new(wire::ListProvidersResponse {
            providers: providers.collect(),
            selected_by,
        }))
    }
}

/// When the call must be over: what the caller says, or the default of the mesh.
fn deadline(metadata: &MetadataMap) -> Instant {
    let timeout = causeway_mesh::timeout_in(metadata.as_ref()).unwrap_or(causeway_mesh::DEFAULT_DEADLINE);
    Instant::now() + timeout.min(causeway_mesh::MAX_DEADLINE)
}

fn decode(request: wire::GenerateRequest) -> Result<(String, Conversation), ApiError> {
    let wire::GenerateRequest {
        model,
        messages,
        max_tokens,
        temperature,
        top_p,
        stop,
    } = request;
    if model.len() > MAX_MODEL_BYTES || model.chars().any(char::is_control) {
        return Err(ApiError::invalid(
            "model",
            "must have at most 256 bytes and no control characters",
        ));
    }
    let turns = messages
        .into_iter()
        .map(|message| (message.role, message.content))
        .collect();
    let conversation = Draft {
        turns,
        max_tokens,
        temperature,
        top_p,
        stop,
    }
    .check()?;
    Ok((model, conversation))
}

fn encode_part(heading: &Heading, part: Part) -> wire::GenerateStreamResponse {
    let mut response = wire::GenerateStreamResponse {
        id: heading.id.to_string(),
        model: heading.model.clone(),
        provider: heading.provider.to_owned(),
        attempts: clamp(heading.attempts),
        created: heading.created,
        ..Default::default()
    };
    match part {
        Part::Text(text) => response.delta = text,
        Part::End(finish, usage) => {
            finish.as_str().clone_into(&mut response.finish_reason);
            response.usage = Some(encode_usage(usage));
        }
    }
    response
}

fn encode_usage(usage: Usage) -> wire::Usage {
    let number = |tokens| i64::try_from(tokens).unwrap_or(i64::MAX);
    wire::Usage {
        input_tokens: number(usage.input_tokens),
        output_tokens: number(usage.output_tokens),
    }
}

fn clamp(attempts: u32) -> i32 {
    i32::try_from(attempts).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
