//! The method table of the contracts, read from the options of every RPC. Shared by the build and its test.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage as _, Value};

use crate::catalogue::{self, Entry};

/// The encoded descriptors of every contract below `root`, with comments and custom options.
pub(crate) fn compile(root: &Path) -> Vec<u8> {
    let mut files = Vec::new();
    collect(&root.join("causeway"), &mut files);
    files.sort();
    let mut compiler = protox::Compiler::new([root]).expect("proto root");
    compiler.include_imports(true).include_source_info(true);
    if let Err(error) = compiler.open_files(&files) {
        panic!("{error:?}");
    }
    compiler.encode_file_descriptor_set()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("read proto directory") {
        let path = entry.expect("read proto directory").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
}

/// The text of the table, or every mistake of the contracts, each with the name of its RPC.
pub(crate) fn method_table(pool: &DescriptorPool, entries: &[Entry]) -> Result<String, Vec<String>> {
    let mut mistakes = Vec::new();
    let mut permissions = BTreeSet::new();
    let mut rows = String::new();
    for service in pool
        .services()
        .filter(|service| service.full_name().starts_with("causeway."))
    {
        for method in service.methods() {
            write_row(&method, entries, &mut rows, &mut permissions, &mut mistakes);
        }
    }
    mistakes.extend(catalogue::compare(entries, &permissions));
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let permissions: Vec<String> = permissions
        .iter()
        .map(|name| format!("    {name:?},\n"))
        .collect();
    Ok(format!(
        "/// Every RPC of the contracts, by service and in the order of the files.\n\
         pub static METHODS: &[Method] = &[\n{rows}];\n\n\
         /// Every permission that an RPC asks for, by name.\n\
         pub static PERMISSIONS: &[&str] = &[\n{}];\n",
        permissions.concat()
    ))
}

fn write_row(
    method: &MethodDescriptor,
    entries: &[Entry],
    rows: &mut String,
    permissions: &mut BTreeSet<String>,
    mistakes: &mut Vec<String>,
) {
    let name = method.full_name();
    let options = method.options();
    let idempotency = options.get_field_by_name("idempotency_level");
    let declared = options.has_field_by_name("idempotency_level");
    let level = idempotency.and_then(|value| value.as_enum_number()).unwrap_or(0);
    let effects = level != 1;

    let Some(access) = extension(&options, "causeway.common.v1.access") else {
        mistakes.push(format!("{name} has no `access` option"));
        return;
    };
    let audited = extension(&options, "causeway.common.v1.audited");
    let action = audited
        .as_ref()
        .map(|audited| text(audited, "action"))
        .unwrap_or_default();
    let not_because = audited
        .as_ref()
        .map(|audited| text(audited, "not_because"))
        .unwrap_or_default();
    let permission = text(&access, "permission");
    let [public, authenticated, internal] =
        ["public", "authenticated", "internal"].map(|field| flag(&access, field));
    let http = extension(&options, "google.api.http");

    let ways = usize::from(public)
        + usize::from(authenticated)
        + usize::from(internal)
        + usize::from(!permission.is_empty());
    if ways != 1 {
        mistakes.push(format!(
            "{name}: `access` needs exactly one of permission, public, authenticated, internal"
        ));
    }
    if !permission.is_empty() && number(&access, "role") == 0 {
        mistakes.push(format!("{name}: `access.role` says who holds {permission}"));
    }
    if !declared {
        mistakes.push(format!("{name} has no `idempotency_level`"));
    }
    if flag(&access, "mfa") && flag(&access, "without_mfa") {
        mistakes.push(format!("{name}: `access` has both mfa and without_mfa"));
    }
    if effects && action.is_empty() == not_because.is_empty() {
        mistakes.push(format!(
            "{name} has effects: `audited` needs an action or a reason for none"
        ));
    }
    if http.is_some() == internal {
        mistakes.push(format!(
            "{name}: an internal RPC has no route, every other RPC has one"
        ));
    }
    let services = texts(&access, "services");
    if services.is_empty() == internal {
        mistakes.push(format!(
            "{name}: an internal RPC says which `services` may call it, and no other RPC does"
        ));
    }
    if flag(&access, "recognized") && !public {
        mistakes.push(format!("{name}: only a public RPC says `recognized`"));
    }
    let comment = comment(method);
    if comment.is_empty() {
        mistakes.push(format!("{name} has no comment"));
    }
    if !permission.is_empty() {
        permissions.insert(permission.clone());
    }

    let callers: Vec<&str> = access
        .get_field_by_name("callers")
        .and_then(|value| value.as_list().map(<[Value]>::to_vec))
        .unwrap_or_default()
        .iter()
        .map(|value| match value.as_enum_number() {
            Some(1) => "CallerKind::User",
            Some(2) => "CallerKind::Client",
            Some(3) => "CallerKind::Token",
            _ => "CallerKind::Service",
        })
        .collect();
    let callers = if callers.is_empty() {
        vec!["CallerKind::User", "CallerKind::Client", "CallerKind::Token"]
    } else {
        callers
    };
    if internal && callers != ["CallerKind::Service"] {
        mistakes.push(format!("{name}: an internal RPC is for services only"));
    }
    let rule = if public {
        "Rule::Public".to_owned()
    } else if authenticated {
        "Rule::Authenticated".to_owned()
    } else if internal {
        "Rule::Internal".to_owned()
    } else {
        let role = ["Viewer", "Viewer", "Editor", "Admin", "Owner"]
            [usize::try_from(number(&access, "role")).unwrap_or(0).min(4)];
        let id = catalogue::id_of(entries, &permission).unwrap_or_default();
        format!("Rule::Permission {{ id: {id}, name: {permission:?}, role: Role::{role} }}")
    };
    let surface = extension(&options, "causeway.common.v1.surface").map_or_else(
        || "None".to_owned(),
        |surface| {
            format!(
                "Some(Surface {{ dialect: Dialect::{}, path: {:?} }})",
                dialect(number(&surface, "dialect")),
                text(&surface, "path")
            )
        },
    );
    let own_dialect = plain(&options, "causeway.common.v1.dialect")
        .and_then(|value| value.as_enum_number())
        .map_or_else(
            || "None".to_owned(),
            |number| format!("Some(Dialect::{})", dialect(number)),
        );
    let status = plain(&options, "causeway.common.v1.success_status")
        .and_then(|value| value.as_i32())
        .unwrap_or(200);
    let cache_seconds = plain(&options, "causeway.common.v1.cache_seconds")
        .and_then(|value| value.as_u32())
        .unwrap_or(0);
    let service = method.parent_service();
    let package = service
        .package_name()
        .split('.')
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let _ = writeln!(
        rows,
        "    Method {{ service: {:?}, name: {:?}, path: {:?}, owner: {package:?}, rule: {rule}, callers: &[{}], services: &{services:?}, mfa: {}, \
         without_mfa: {}, audited: {}, idempotency: Idempotency::{}, server_streaming: {}, input: {:?}, output: {:?}, routes: &[{}], \
         surface: {surface}, dialect: {own_dialect}, recognized: {}, after_erasure: {}, success_status: {status}, cache_seconds: {cache_seconds}, comment: {comment:?} }},",
        service.full_name(),
        method.name(),
        format!("/{}/{}", service.full_name(), method.name()),
        callers.join(", "),
        flag(&access, "mfa"),
        flag(&access, "without_mfa"),
        if action.is_empty() {
            "None".to_owned()
        } else {
            format!("Some({action:?})")
        },
        ["Unknown", "NoSideEffects", "Idempotent"][usize::try_from(level).unwrap_or(0).min(2)],
        method.is_server_streaming(),
        method.input().full_name(),
        method.output().full_name(),
        http.map(|rule| routes(&rule)).unwrap_or_default().join(", "),
        flag(&access, "recognized"),
        flag(&access, "after_erasure"),
    );
}

fn routes(rule: &DynamicMessage) -> Vec<String> {
    let mut found = Vec::new();
    for verb in ["get", "put", "post", "delete", "patch"] {
        if rule.has_field_by_name(verb) {
            found.push(format!(
                "Route {{ verb: {:?}, path: {:?}, body: {:?}, response_body: {:?} }}",
                verb.to_uppercase(),
                text(rule, verb),
                text(rule, "body"),
                text(rule, "response_body")
            ));
        }
    }
    if let Some(value) = rule.get_field_by_name("additional_bindings")
        && let Some(list) = value.as_list()
    {
        found.extend(list.iter().filter_map(Value::as_message).flat_map(routes));
    }
    found
}

fn extension(options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let field = options.descriptor().parent_pool().get_extension_by_name(name)?;
    options
        .has_extension(&field)
        .then(|| options.get_extension(&field).as_message().cloned())
        .flatten()
}

/// The value of an option that is no message.
fn plain(options: &DynamicMessage, name: &str) -> Option<Value> {
    let field = options.descriptor().parent_pool().get_extension_by_name(name)?;
    options
        .has_extension(&field)
        .then(|| options.get_extension(&field).into_owned())
}

/// The name of a dialect in the table.
fn dialect(number: i32) -> &'static str {
    match number {
        2 => "Oauth",
        _ => "OpenaiChat",
    }
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message
        .get_field_by_name(field)
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn texts(message: &DynamicMessage, field: &str) -> Vec<String> {
    let list = message.get_field_by_name(field);
    let list = list.and_then(|value| value.as_list().map(<[Value]>::to_vec));
    let texts = list.unwrap_or_default();
    texts
        .iter()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

fn flag(message: &DynamicMessage, field: &str) -> bool {
    message
        .get_field_by_name(field)
        .and_then(|value| value.as_bool())
        .unwrap_or_default()
}

fn number(message: &DynamicMessage, field: &str) -> i32 {
    message
        .get_field_by_name(field)
        .and_then(|value| value.as_enum_number())
        .unwrap_or_default()
}

fn comment(method: &MethodDescriptor) -> String {
    let file = method.parent_file();
    let path = method.path();
    file.file_descriptor_proto()
        .source_code_info
        .iter()
        .flat_map(|info| &info.location)
        .find(|location| location.path == path)
        .map(|location| location.leading_comments().trim().replace("\n ", " "))
        .unwrap_or_default()
}
