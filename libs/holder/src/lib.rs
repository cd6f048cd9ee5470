//! What a service keeps of its tenants. A typed registry names every table with tenants' rows; what has to reach all of
//! them goes by it and by nothing else: erasure (ERA-01 to ERA-06), export (EXP-01) and the sealing anew of values
//! (ROT-04). A test compares the registry with the catalogue of the database, so that no table is forgotten.
//!
//! The schema of a service that holds data has a table for the tombstones that were applied to it, made by
//! `causeway.create_erasures_applied()`.

mod erase;
mod export;
mod registry;
mod tombstone;
mod wire;

pub use erase::{Applied, check_registry, erase_rows, find_applied, mark_applied, unapplied};
pub use export::{
    ExportError, PartBuilder, Snapshot, count_rows, export_rows, hold_snapshot, parts, send_tables,
};
pub use registry::{Holding, RowOwner, Rows, SealedColumn, TENANT_TABLE, TenantTable};
pub use tombstone::{Buried, ErasedRows, Part, Tombstone};
pub use wire::workspace;
