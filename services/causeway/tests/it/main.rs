//! The whole system, from outside: started as it is run, spoken to over the network.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod clients;
mod database;
mod door;
mod exchange;
mod flood;
mod hostile;
mod http;
mod keeping_out;
mod kms;
mod lifecycle;
mod logs;
mod machines;
mod mesh;
mod mfa;
mod models;
mod overrides;
mod people;
mod platform;
mod processes;
mod refreshes;
mod regions;
mod repeats;
mod revocation;
mod roles;
mod rotation;
mod settings;
mod sign_in;
mod signing;
mod single_tenant;
mod story;
mod tiers;
mod traces;
mod walk;
