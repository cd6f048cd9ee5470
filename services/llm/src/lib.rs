//! Which model answers: providers, order, chat completions.
