//! The commands beside `serve` and `demo`.

pub(crate) mod config;
pub(crate) mod db;
pub(crate) mod keys;
pub(crate) mod token;
