//! The whole system, from outside: started as it is run, spoken to over the network.

#![allow(clippy::unwrap_used, reason = "a test may stop where it stands")]

mod clients;
mod door;
mod exchange;
mod hostile;
mod http;
mod kms;
mod logs;
mod mesh;
mod models;
mod people;
mod processes;
mod repeats;
mod settings;
mod story;
mod traces;
mod walk;
