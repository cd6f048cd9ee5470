//! The readable reference: one page without scripts, and a plain index.

use causeway_contracts::{METHODS, Method, Rule};

/// The page behind `/docs`.
pub(super) fn page() -> String {
    let mut html = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Causeway reference</title><style>\
         body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
         code{background:#eee;padding:.1em .3em;border-radius:.2em}td,th{text-align:left;padding:.3em .8em .3em 0;\
         vertical-align:top;border-bottom:1px solid #ddd}</style></head><body><h1>Causeway reference</h1>\
         <p>Machine-readable: <a href=\"/openapi.json\">openapi.json</a>, <a href=\"/llms.txt\">llms.txt</a>; \
         gRPC reflection on this port.</p>",
    );
    let mut owner = "";
    for method in METHODS.iter().filter(|method| !method.routes.is_empty()) {
        if method.owner != owner {
            if !owner.is_empty() {
                html.push_str("</table>");
            }
            owner = method.owner;
            html.push_str(&format!(
                "<h2>{owner}</h2><table><tr><th>Route</th><th>What it does</th><th>Needs</th></tr>"
            ));
        }
        html.push_str(&format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            routes(method)
                .iter()
                .map(|route| format!("<code>{}</code>", escaped(route)))
                .collect::<Vec<_>>()
                .join("<br>"),
            escaped(method.comment),
            escaped(needs(method)),
        ));
    }
    html.push_str("</table></body></html>");
    html
}

/// The index behind `/llms.txt`.
pub(super) fn index() -> String {
    let mut text = String::from(
        "# Causeway\n\n> The back end of a multi-tenant AI product: sign-in, tenants and keys, model routing, decisions, \
         audit.\n\nReference: /openapi.json (OpenAPI 3.1), /docs (readable). Errors are RFC 9457 problems.\n\n## Routes\n\n",
    );
    for method in METHODS.iter().filter(|method| !method.routes.is_empty()) {
        for route in routes(method) {
            text.push_str(&format!(
                "- `{route}`: {} Needs: {}.\n",
                method.comment,
                needs(method)
            ));
        }
    }
    text
}

fn routes(method: &Method) -> Vec<String> {
    let own = method
        .routes
        .iter()
        .map(|route| format!("{} {}", route.verb, route.path));
    own.chain(
        method
            .surface
            .iter()
            .map(|surface| format!("POST {}", surface.path)),
    )
    .collect()
}

fn needs(method: &Method) -> &'static str {
    match method.rule {
        Rule::Public => "nothing",
        Rule::Authenticated => "any credential",
        Rule::Internal => "a service",
        Rule::Permission { name, .. } => name,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
