//! What happened, in order, and provably so.
