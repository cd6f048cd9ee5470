//! Which option to show and what was learnt from it.
