//! The mesh as services use it: a generated service behind the guard, near and far.

mod deadline;
mod drain;
mod fixture;
mod guard;
mod health;
mod load;
mod near_and_far;
mod reconnect;
mod retry;
mod token;
mod trace;
