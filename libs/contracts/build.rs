//! Compiles the contracts without `protoc` and writes the static method table beside the generated code.

#[path = "build/table.rs"]
mod table;

use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorSet;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    println!("cargo:rerun-if-changed={}", root.display());
    println!("cargo:rerun-if-changed=build/table.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    let bytes = table::compile(&root);
    fs::write(out.join("causeway.fds.bin"), &bytes).expect("write descriptor set");

    let pool = DescriptorPool::decode(bytes.as_slice()).expect("decode descriptor set");
    let rows = table::method_table(&pool)
        .unwrap_or_else(|mistakes| panic!("contracts are incomplete:\n  {}", mistakes.join("\n  ")));
    fs::write(out.join("methods.rs"), rows).expect("write method table");

    tonic_prost_build::configure()
        // Nobody dials past the mesh channel by accident: generated clients have no `connect`.
        .build_transport(false)
        .include_file("causeway.rs")
        .compile_fds(FileDescriptorSet::decode(bytes.as_slice()).expect("decode descriptor set"))
        .expect("generate code");
}
