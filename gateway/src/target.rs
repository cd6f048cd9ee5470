//! Where a request goes: an RPC by one of its surfaces, or a page of the gateway's own.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use causeway_contracts::{Dialect, METHODS, Method, Route, Rule, method};
use causeway_errors::{ApiError, Code};
use http::{Method as Verb, Request, StatusCode};

use crate::refusal::refuse_request;
use crate::wire::Wire;
use crate::{Gateway, grpc, openai, pages, ready, rest};

/// Where a request goes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A page of the gateway's own.
    Page(Page),
    /// Health and reflection of the gateway, over gRPC or gRPC-web.
    OwnGrpc,
    /// An RPC over gRPC or gRPC-web.
    Grpc(&'static Method),
    /// An RPC over REST, with the values of the path's parameters.
    Rest(&'static Method, &'static Route, Vec<(String, String)>),
    /// An RPC over a foreign surface.
    Foreign(&'static Method, Dialect),
}

/// A page of the gateway's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Health,
    Ready,
    Openapi,
    Docs,
    LlmsTxt,
}

/// What a request is counted under: never a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    pub(crate) owner: &'static str,
    pub(crate) name: &'static str,
}

impl Label {
    pub(crate) const UNKNOWN: Self = Self {
        owner: "gateway",
        name: "unknown",
    };
}

/// Why a request goes nowhere.
#[derive(Debug)]
pub(crate) struct Nowhere {
    pub(crate) error: ApiError,
    /// The methods that the route has, when it has others.
    pub(crate) allow: Option<String>,
}

impl From<ApiError> for Nowhere {
    fn from(error: ApiError) -> Self {
        Self { error, allow: None }
    }
}

impl Target {
    /// The RPC, if it is one.
    pub(crate) fn method(&self) -> Option<&'static Method> {
        match self {
            Self::Page(_) | Self::OwnGrpc => None,
            Self::Grpc(method) | Self::Rest(method, ..) | Self::Foreign(method, _) => Some(method),
        }
    }

    pub(crate) fn label(&self) -> Label {
        match self.method() {
            Some(method) => Label {
                owner: method.owner,
                name: method.name,
            },
            None => Label {
                owner: "gateway",
                name: "page",
            },
        }
    }

    /// Probes and documents are never refused for their number.
    pub(crate) fn is_limited(&self) -> bool {
        self.method().is_some()
    }
}

/// Every REST route, made from the method table.
pub(crate) struct Targets(matchit::Router<HashMap<&'static str, Leaf>>);

#[derive(Debug, Clone, Copy)]
enum Leaf {
    Page(Page),
    Route(&'static Method, &'static Route),
    Foreign(&'static Method, Dialect),
}

impl Targets {
    /// The routes of the table. Two RPCs never share one: a test of the contracts sees to it.
    pub(crate) fn from_method_table() -> Self {
        let mut paths: HashMap<String, HashMap<&'static str, Leaf>> = HashMap::new();
        let pages = [
            ("/health", Page::Health),
            ("/ready", Page::Ready),
            ("/openapi.json", Page::Openapi),
            ("/docs", Page::Docs),
            ("/llms.txt", Page::LlmsTxt),
        ];
        for (path, page) in pages {
            paths
                .entry(path.to_owned())
                .or_default()
                .insert("GET", Leaf::Page(page));
        }
        for method in METHODS {
            for route in method.routes {
                paths
                    .entry(shape(route.path))
                    .or_default()
                    .insert(route.verb, Leaf::Route(method, route));
            }
            if let Some(surface) = &method.surface {
                let leaf = Leaf::Foreign(method, surface.dialect);
                paths
                    .entry(surface.path.to_owned())
                    .or_default()
                    .insert("POST", leaf);
            }
        }
        let mut router = matchit::Router::new();
        for (path, verbs) in paths {
            if let Err(error) = router.insert(&path, verbs) {
                tracing::error!(%path, %error, "a route of the contracts cannot be served");
            }
        }
        Self(router)
    }

    /// Where `request` goes.
    ///
    /// # Errors
    /// 404, 405, 415, or gRPC's UNIMPLEMENTED.
    pub(crate) fn find<B>(&self, request: &Request<B>) -> Result<Target, Box<Nowhere>> {
        let path = request.uri().path();
        match Wire::of(request.headers()) {
            Some(Wire::Foreign) => return Err(Box::new(unsupported())),
            Some(_) if request.method() != Verb::POST => return Err(not_allowed("POST".to_owned())),
            Some(_) => return rpc(path),
            None => {}
        }
        let Ok(found) = self.0.at(path) else {
            return Err(Box::new(
                ApiError::not_found("ROUTE_NOT_FOUND", "no such route").into(),
            ));
        };
        let verb = if request.method() == Verb::HEAD {
            "GET"
        } else {
            request.method().as_str()
        };
        let Some(leaf) = found.value.get(verb) else {
            return Err(not_allowed(allowed(found.value)));
        };
        match *leaf {
            Leaf::Page(page) => Ok(Target::Page(page)),
            Leaf::Foreign(method, dialect) => Ok(Target::Foreign(method, dialect)),
            Leaf::Route(method, route) => {
                let values = found.params.iter().map(|(_, value)| decoded(value));
                Ok(Target::Rest(
                    method,
                    route,
                    names(route.path).map(str::to_owned).zip(values).collect(),
                ))
            }
        }
    }
}

/// The methods of a route, as `Allow` lists them.
fn allowed(verbs: &HashMap<&'static str, Leaf>) -> String {
    let mut verbs: Vec<&str> = verbs.keys().copied().collect();
    if verbs.contains(&"GET") {
        verbs.push("HEAD");
    }
    verbs.push("OPTIONS");
    verbs.sort_unstable();
    verbs.join(", ")
}

fn not_allowed(allow: String) -> Box<Nowhere> {
    let error = ApiError::new(
        Code::Unimplemented,
        "METHOD_NOT_ALLOWED",
        "the route has no such method",
    );
    Box::new(Nowhere {
        error,
        allow: Some(allow),
    })
}

fn unsupported() -> Nowhere {
    let message = "the gateway speaks protobuf over gRPC and gRPC-web";
    ApiError::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message).into()
}

/// A path template with its parameters numbered: two RPCs may name the same one differently.
fn shape(template: &str) -> String {
    let parts = template.split('/').enumerate();
    let parts = parts.map(|(index, part)| {
        if part.starts_with('{') {
            format!("{{p{index}}}")
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The names of a template's parameters, in order.
fn names(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn decoded(value: &str) -> String {
    percent_encoding::percent_decode_str(value)
        .decode_utf8_lossy()
        .into_owned()
}

/// Where the contracts are asked for.
pub(crate) const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/";

fn rpc(path: &str) -> Result<Target, Box<Nowhere>> {
    if path.starts_with("/grpc.health.v1.Health/") || path.starts_with(REFLECTION) {
        return Ok(Target::OwnGrpc);
    }
    match method(path) {
        Some(method) if method.rule != Rule::Internal => Ok(Target::Grpc(method)),
        _ => Err(Box::new(
            ApiError::new(Code::Unimplemented, "UNKNOWN_METHOD", "no such method").into(),
        )),
    }
}

/// Answers a request that passed the door.
pub(crate) async fn dispatch(State(gateway): State<Arc<Gateway>>, request: Request<Body>) -> Response {
    let Some(target) = request.extensions().get::<Target>().cloned() else {
        return refuse_request(&request, ApiError::internal());
    };
    match target {
        Target::Page(Page::Health) => {
            (StatusCode::OK, axum::Json(serde_json::json!({"status": "ok"}))).into_response()
        }
        Target::Page(Page::Ready) => ready::answer(&gateway).await,
        Target::Page(Page::Openapi) => pages::openapi(),
        Target::Page(Page::Docs) => pages::docs(),
        Target::Page(Page::LlmsTxt) => pages::llms_txt(),
        Target::OwnGrpc => grpc::own(&gateway, request).await,
        Target::Grpc(method) => grpc::pass(&gateway, method, request).await,
        Target::Rest(method, route, parameters) => {
            rest::answer(&gateway, method, route, parameters, request).await
        }
        Target::Foreign(method, Dialect::OpenaiChat) => openai::chat(&gateway, method, request).await,
        // OAuth is spoken on the RPC's own routes, never beside them.
        Target::Foreign(_, Dialect::Oauth) => refuse_request(&request, ApiError::internal()),
    }
}
