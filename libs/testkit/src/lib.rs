//! Test database, fake upstreams and helpers that tests of several crates share.
