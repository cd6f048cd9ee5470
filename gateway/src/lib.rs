//! The door: layers, transcoding, gRPC-web, OpenAI surface. No database.
