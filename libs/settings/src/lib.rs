//! The registry of every setting: name, aliases, tier rules, parsing and its documentation.
