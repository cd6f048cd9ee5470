//! Compiles the contracts without `protoc` and writes the static method table beside the generated code.

#[path = "build/catalogue.rs"]
mod catalogue;
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
    println!("cargo:rerun-if-changed=build/catalogue.rs");
    println!("cargo:rerun-if-changed=permissions.tsv");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));

    let bytes = table::compile(&root);
    fs::write(out.join("causeway.fds.bin"), &bytes).expect("write descriptor set");

    let pool = DescriptorPool::decode(bytes.as_slice()).expect("decode descriptor set");
    let text = fs::read_to_string("permissions.tsv").expect("read permissions.tsv");
    let entries = catalogue::parse(&text).unwrap_or_else(|mistakes| refuse(&mistakes));
    let rows = table::method_table(&pool, &entries).unwrap_or_else(|mistakes| refuse(&mistakes));
    fs::write(out.join("methods.rs"), rows).expect("write method table");
    fs::write(out.join("catalogue.rs"), catalogue::table(&entries)).expect("write permission catalogue");

    tonic_prost_build::configure()
        // Nobody dials past the mesh channel by accident: generated clients have no `connect`.
        .build_transport(false)
        .include_file("causeway.rs")
        .compile_fds(FileDescriptorSet::decode(bytes.as_slice()).expect("decode descriptor set"))
        .expect("generate code");
}

fn refuse(mistakes: &[String]) -> ! {
    panic!("contracts are incomplete:\n  {}", mistakes.join("\n  "))
}
