//! Writes `.env.example` and `docs/settings.md` of this repository anew.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::write(root.join(".env.example"), causeway_settings::example())?;
    fs::write(root.join("docs/settings.md"), causeway_settings::markdown())
}
