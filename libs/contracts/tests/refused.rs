//! Contracts that do not say everything do not build, and the complaint names the RPC.

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
    table::method_table(&pool).err().unwrap_or_default()
}

#[test]
fn a_whole_rpc_builds() {
    assert_eq!(complaints(WHOLE), Vec::<String>::new());
}

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
