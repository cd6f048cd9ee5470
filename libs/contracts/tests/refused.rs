//! Contracts that do not say everything do not build, and the complaint names the RPC.

#[path = "../build/catalogue.rs"]
mod catalogue;
#[path = "../build/table.rs"]
mod table;

use std::fs;
use std::path::Path;

use prost_reflect::DescriptorPool;

const WHOLE: &str = r#"
  // Does something.
  rpc Do(DoRequest) returns (DoResponse) {
    option (google.api.http) = {post: "/v1/things" body: "*"};
    option (causeway.common.v1.access) = {permission: "things.write" role: ROLE_EDITOR};
    option (causeway.common.v1.audited) = {action: "thing.done"};
    option idempotency_level = IDEMPOTENT;
  }
"#;

/// The complaints about a service with that RPC.
fn complaints(rpc: &str) -> Vec<String> {
    complaints_with("1\tthings.write\tWrites things.", rpc)
}

/// The same beside another permission catalogue.
fn complaints_with(permissions: &str, rpc: &str) -> Vec<String> {
    let entries = match catalogue::parse(permissions) {
        Ok(entries) => entries,
        Err(mistakes) => return mistakes,
    };
    let folder = tempfile::tempdir().expect("a folder");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    for file in [
        "google/api/annotations.proto",
        "google/api/http.proto",
        "causeway/common/v1/options.proto",
    ] {
        let copy = folder.path().join(file);
        fs::create_dir_all(copy.parent().expect("a parent")).expect("a folder");
        fs::copy(ours.join(file), copy).expect("a copy");
    }
    let text = format!(
        "syntax = \"proto3\"; package causeway.things.v1; import \"google/api/annotations.proto\"; \
         import \"causeway/common/v1/options.proto\"; message DoRequest {{}} message DoResponse {{}} \
         service ThingService {{ {rpc} }}"
    );
    let things = folder.path().join("causeway/things/v1");
    fs::create_dir_all(&things).expect("a folder");
    fs::write(things.join("things.proto"), text).expect("a file");
    let bytes = table::compile(folder.path());
    let pool = DescriptorPool::decode(bytes.as_slice()).expect("descriptors");
    let text = table::method_table(&pool, &entries);
    if text.is_ok() {
        let catalogue = catalogue::table(&entries);
        assert!(catalogue.contains("things.write"), "{catalogue}");
    }
    text.err().unwrap_or_default()
}

#[test]
fn a_whole_rpc_builds() {
    assert_eq!(complaints(WHOLE), Vec::<String>::new());
}

/// SVC-03.
#[test]
fn an_internal_rpc_says_which_services_may_call_it() {
    let internal = |access: &str| {
        let rpc = format!(
            "// Does something.\nrpc Do(DoRequest) returns (DoResponse) {{
            option (causeway.common.v1.access) = {{{access}}};
            option idempotency_level = NO_SIDE_EFFECTS; }}"
        );
        complaints(&rpc).join("; ")
    };
    let whole = "internal: true callers: [CALLER_KIND_SERVICE] services: [\"auth\"]";
    let names = |text: String| text.contains("causeway.things.v1.ThingService.Do");
    assert!(!internal(whole).contains("services"), "{}", internal(whole));
    let silent = internal("internal: true callers: [CALLER_KIND_SERVICE]");
    assert!(silent.contains("says which `services` may call it") && names(silent));
    let open = internal("internal: true services: [\"auth\"]");
    assert!(open.contains("is for services only") && names(open));
    let public = WHOLE.replace("role: ROLE_EDITOR", "role: ROLE_EDITOR services: [\"auth\"]");
    assert!(complaints(&public).join("; ").contains("no other RPC does"));
}

/// RBAC-01.
#[test]
fn what_an_rpc_leaves_out_is_said_with_its_name() {
    let cases = [
        ("(causeway.common.v1.access)", "has no `access` option"),
        (
            "(causeway.common.v1.audited)",
            "`audited` needs an action or a reason",
        ),
        ("idempotency_level", "has no `idempotency_level`"),
        ("(google.api.http)", "every other RPC has one"),
        ("// Does something.", "has no comment"),
    ];
    for (left_out, complaint) in cases {
        let rpc: String = WHOLE
            .lines()
            .filter(|line| !line.contains(left_out))
            .map(|line| format!("{line}\n"))
            .collect();
        let complaints = complaints(&rpc);
        assert!(
            complaints
                .iter()
                .any(|said| said.contains("causeway.things.v1.ThingService.Do") && said.contains(complaint)),
            "without {left_out}: {complaints:?}"
        );
    }
}

#[test]
fn an_rpc_is_guarded_in_one_way_only() {
    let both = WHOLE.replace(
        "permission: \"things.write\" role: ROLE_EDITOR",
        "permission: \"things.write\" public: true",
    );
    assert!(
        complaints(&both)
            .iter()
            .any(|said| said.contains("exactly one of")),
        "{:?}",
        complaints(&both)
    );
}

#[test]
fn a_permission_has_one_id_for_ever() {
    let unknown = complaints_with("1\tthings.read\tReads things.", WHOLE);
    assert_eq!(unknown.len(), 2, "{unknown:?}");
    assert!(
        unknown[0].contains("things.write has no line") && unknown[1].contains("no RPC asks for things.read")
    );
    let whole = "2\tthings.write\tWrites things.";
    for (catalogue, complaint) in [
        (
            format!("1\tthings.write\tremoved\n{whole}"),
            "things.write has two ids",
        ),
        (
            format!("2\tthings.read\tremoved\n{whole}"),
            "the id 2 of things.write does not follow",
        ),
        (
            format!("3\tthings.read\tremoved\n{whole}"),
            "the id 2 of things.write does not follow",
        ),
        (format!("0\tthings.read\tremoved\n{whole}"), "\"0\" is not an id"),
        (
            format!("65536\tthings.read\tremoved\n{whole}"),
            "\"65536\" is not an id",
        ),
        (
            format!("{whole}\n3\tthings.read"),
            "is not id, name and description",
        ),
    ] {
        let said = complaints_with(&catalogue, WHOLE);
        assert!(
            said.iter().any(|said| said.contains(complaint)),
            "{catalogue:?}: {said:?}"
        );
    }
    let removed = complaints_with(&format!("1\tthings.read\tremoved\n{whole}"), WHOLE);
    assert_eq!(
        removed,
        Vec::<String>::new(),
        "a removed one stays and needs no RPC (RBAC-03)"
    );
    let asked_again = complaints_with("1\tthings.write\tremoved", WHOLE);
    assert!(
        asked_again[0].contains("things.write has no line"),
        "{asked_again:?}"
    );
}
