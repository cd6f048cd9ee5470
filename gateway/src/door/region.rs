//! A tenant is looked up once for the layers behind, and sent to its region if that is another one (B-GW-27).
//!
//! Only addresses that the settings name are ever given: a client follows with its credential.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use causeway_context::Caller;
use causeway_errors::{ApiError, Code};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, header};
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::Gateway;
use crate::config::Regions;
use crate::door::observe;
use crate::refusal::{Form, refuse, refuse_status};
use crate::tenants::Away;

/// What a client asked for, before the route was found under its first name.
#[derive(Debug, Clone)]
pub(crate) struct Asked(pub(crate) Option<PathAndQuery>);

pub(crate) async fn layer(
    State(gateway): State<Arc<Gateway>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let caller = request.extensions().get::<Caller>();
    let workspace = caller.and_then(|caller| caller.workspace);
    let Some(workspace) = workspace.filter(|_| gateway.config.asks_for_tenants()) else {
        return next.run(request).await;
    };
    let request_id = observe::request_id(&request);
    let regions = gateway.config.regions.as_ref();
    match (
        gateway.tenants.find(&gateway.mesh, &request_id, workspace).await,
        regions,
    ) {
        (Ok(Some(tenant)), Some(regions)) if tenant.region != regions.own => {
            elsewhere(&request, regions, &tenant.region)
        }
        (Ok(Some(tenant)), _) => {
            request.extensions_mut().insert(tenant);
            next.run(request).await
        }
        // To serve a tenant of another region is worse than not to serve.
        (Err(Away), Some(_)) => {
            let error = ApiError::unavailable("TENANCY_UNAVAILABLE");
            refuse(Form::of(&request), &request_id, error)
        }
        // The service knows better whether the workspace is there.
        (Ok(None), _) | (Err(Away), None) => next.run(request).await,
    }
}

/// Tells a client where its workspace is served.
fn elsewhere<B>(request: &Request<B>, regions: &Regions, region: &String) -> Response {
    let url = regions.urls.get(region);
    let error = match url {
        Some(_) => ApiError::new(
            Code::FailedPrecondition,
            "OTHER_REGION",
            format!("the workspace is served in the region {region}"),
        ),
        None => ApiError::new(
            Code::Unavailable,
            "REGION_UNKNOWN",
            format!("the workspace is served in the region {region}, to which no way is known here"),
        ),
    };
    let form = Form::of(request);
    if let Form::Grpc(wire) = form {
        return refuse_status(wire, status(error, region, url));
    }
    let location = url.and_then(|url| location(request, url));
    let mut response = refuse(form, &observe::request_id(request), error);
    if let Some(location) = location {
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, location);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// The same path and query at another region.
fn location<B>(request: &Request<B>, url: &str) -> Option<HeaderValue> {
    let asked = request
        .extensions()
        .get::<Asked>()
        .and_then(|asked| asked.0.as_ref());
    let path = asked.or(request.uri().path_and_query());
    HeaderValue::try_from(format!("{url}{}", path.map_or("/", PathAndQuery::as_str))).ok()
}

/// gRPC has no redirect: the region and its address are in the details.
fn status(error: ApiError, region: &String, url: Option<&String>) -> Status {
    let error_id = error.error_id.to_string();
    let known = [
        ("error_id", Some(&error_id)),
        ("region", Some(region)),
        ("url", url),
    ];
    let known = known
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
    let metadata = known.collect::<HashMap<_, _>>();
    let details = ErrorDetails::with_error_info(error.reason, "causeway", metadata);
    Status::with_error_details(error.code, error.message, details)
}
