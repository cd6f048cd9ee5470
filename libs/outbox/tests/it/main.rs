//! The outbox and its relay, over both stores.

mod fixture;
mod parking;
mod postgres;
mod relay;
