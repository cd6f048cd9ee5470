//! The same request gets the same answer and the same error, whether the service is in this process or not.

use causeway_contracts::Role;
use causeway_contracts::llm::v1::ListModelsRequest;
use causeway_contracts::llm::v1::llm_service_client::LlmServiceClient;
use causeway_errors::Code;
use causeway_mesh::{Mesh, on_behalf};
use http::{Method, Request, header};
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::fixture::{
    GENERATE, ROOT, Sides, by_editor, error_of, identity, person, pieces, say, say_in_pieces, violations,
};

#[tokio::test]
async fn an_answer_is_the_same() {
    let sides = Sides::start().await;
    let ctx = person(Role::Editor);
    for (side, mut client) in sides.clients {
        let answer = client
            .generate(on_behalf(&ctx, say("echo")))
            .await
            .expect("an answer")
            .into_inner();
        assert_eq!(answer.model, "echo", "{side}");
        assert_eq!(answer.content, ctx.caller.id, "{side}");
        assert_eq!(answer.id, ctx.request_id.as_str(), "{side}");
    }
}

#[tokio::test]
async fn an_error_is_the_same_with_all_its_details() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let expected = violations();
        let error = error_of(client.generate(by_editor(say("violations"))).await);
        assert_eq!(
            error,
            (
                expected.code,
                expected.reason.into_owned(),
                expected.message.into_owned(),
                expected.violations
            ),
            "{side}"
        );
        let status = client.generate(by_editor(say("retry"))).await.expect_err("busy");
        let error = causeway_errors::ApiError::from(status);
        assert_eq!(error.reason, "PROVIDER_BUSY", "{side}");
        assert!(error.retry_after.is_some(), "{side}");
    }
}

#[tokio::test]
async fn an_error_keeps_its_id_on_the_way() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let status = client
            .generate(by_editor(say("nonsense")))
            .await
            .expect_err("none");
        let error = causeway_errors::ApiError::from(status);
        let again = causeway_errors::ApiError::from(Status::from(error.clone()));
        assert_eq!(error.error_id, again.error_id, "{side}");
        assert_eq!(error.reason, "NO_SUCH_WORD", "{side}");
    }
}

#[tokio::test]
async fn text_that_is_not_ours_is_not_shown() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let error = error_of(client.generate(by_editor(say("plain"))).await);
        assert_eq!(
            (error.0, error.2.as_str()),
            (Code::Internal, "internal error"),
            "{side}"
        );
    }
}

#[tokio::test]
async fn a_stream_is_the_same_and_so_is_its_end() {
    let sides = Sides::start().await;
    for (side, client) in sides.clients {
        let (deltas, end) = pieces(client.clone(), by_editor(say_in_pieces("three"))).await;
        assert_eq!((deltas.concat().as_str(), end.is_ok()), ("abc", true), "{side}");
        let (deltas, end) = pieces(client, by_editor(say_in_pieces("broken"))).await;
        assert_eq!(deltas, ["a"], "{side}");
        assert_eq!(error_of(end).3, violations().violations, "{side}");
    }
}

#[tokio::test]
async fn a_service_that_calls_for_itself_is_no_end_user() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let error = error_of(client.list_models(ListModelsRequest {}).await);
        assert_eq!(
            (error.0, error.1.as_str()),
            (Code::PermissionDenied, "CALLER_KIND_REFUSED"),
            "{side}"
        );
    }
}

#[tokio::test]
async fn the_method_table_is_asked_again_behind_the_channel() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let viewer = person(Role::Viewer);
        let error = error_of(client.generate(on_behalf(&viewer, say("echo"))).await);
        assert_eq!(
            (error.0, error.1.as_str()),
            (Code::PermissionDenied, "PERMISSION_DENIED"),
            "{side}"
        );
        client
            .list_models(on_behalf(&viewer, ListModelsRequest {}))
            .await
            .expect("a viewer reads");
    }
    assert_eq!(sides.fake.begun(), 2, "no refused call reached the handler");
}

#[tokio::test]
async fn a_message_that_cannot_be_decoded_is_the_callers_fault() {
    let sides = Sides::start().await;
    let mut answers = Vec::new();
    for (_, channel) in sides.channels {
        let mesh = Mesh::new(identity("gateway", ROOT));
        mesh.link("llm", channel);
        let mut request = Request::new(Body::new(Full::from(&[0, 0, 0, 0, 2, 0xff, 0xff][..])));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = GENERATE.parse().expect("a path");
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, "application/grpc".parse().expect("a value"));
        let ctx = person(Role::Editor);
        request.extensions_mut().insert(causeway_mesh::OnBehalf {
            caller: ctx.caller,
            request_id: ctx.request_id,
        });
        let response = mesh.to("llm").oneshot(request).await.expect("an answer");
        let status = Status::from_header_map(response.headers()).expect("a status");
        answers.push(error_of::<()>(Err(status)));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(
        (answers[0].0, answers[0].1.as_str()),
        (Code::InvalidArgument, "MALFORMED_MESSAGE")
    );
}

#[tokio::test]
async fn a_service_that_is_not_linked_is_unavailable() {
    let mesh = Mesh::new(identity("gateway", ROOT));
    let mut client = LlmServiceClient::new(mesh.to("llm"));
    let error = error_of(client.generate(by_editor(say("echo"))).await);
    assert_eq!(
        (error.0, error.1.as_str()),
        (Code::Unavailable, "SERVICE_UNAVAILABLE")
    );
}

#[tokio::test]
async fn what_a_caller_writes_into_its_metadata_changes_nothing() {
    let sides = Sides::start().await;
    for (side, mut client) in sides.clients {
        let ctx = person(Role::Viewer);
        let forged = || {
            let mut request = on_behalf(&ctx, say("echo"));
            for (name, value) in [
                ("authorization", "Bearer forged"),
                ("x-internal-service-secret", ROOT),
                ("x-causeway-caller", "owner"),
                ("x-workspace-id", "00000000-0000-0000-0000-000000000000"),
                ("x-request-id", "forged"),
                ("x-forwarded-for", "127.0.0.1"),
            ] {
                request
                    .metadata_mut()
                    .insert(name, value.parse().expect("a value"));
            }
            request
        };
        let error = error_of(client.generate(forged()).await);
        assert_eq!(error.0, Code::PermissionDenied, "{side}: still a viewer");
        let mut models = on_behalf(&ctx, ListModelsRequest {});
        *models.metadata_mut() = forged().metadata().clone();
        client.list_models(models).await.expect("a viewer reads");
        let seen = sides.fake.last_seen().ctx;
        assert_eq!(seen.caller, ctx.caller, "{side}");
        assert_eq!(seen.request_id, ctx.request_id, "{side}");
    }
}
