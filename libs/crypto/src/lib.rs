//! Envelopes, key providers, token formats and signing keys.
