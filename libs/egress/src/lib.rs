//! The one way out: a pooled HTTPS client with deadlines and size limits.
