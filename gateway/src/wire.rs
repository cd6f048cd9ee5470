//! gRPC's media types. A type is taken by its essence, whole: `application/grpcfoo` is not gRPC.

use http::{HeaderMap, HeaderValue, header};

/// How the messages of a gRPC call come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// gRPC.
    Grpc,
    /// gRPC-web, binary.
    Web,
    /// gRPC-web, text: base64.
    WebText,
    /// It begins like gRPC's types but is none that is spoken here, such as `application/grpc+json`.
    Foreign,
}

impl Wire {
    /// The wire of a request or an answer; nothing when it is not gRPC.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let kind = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())?;
        let essence = kind
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        match essence.as_str() {
            "application/grpc" | "application/grpc+proto" => Some(Self::Grpc),
            "application/grpc-web" | "application/grpc-web+proto" => Some(Self::Web),
            "application/grpc-web-text" | "application/grpc-web-text+proto" => Some(Self::WebText),
            other if other.starts_with("application/grpc") => Some(Self::Foreign),
            _ => None,
        }
    }

    /// The media type in its plainest form; nothing for what is not spoken here.
    pub(crate) fn media_type(self) -> Option<HeaderValue> {
        match self {
            Self::Grpc => Some(HeaderValue::from_static("application/grpc")),
            Self::Web => Some(HeaderValue::from_static("application/grpc-web+proto")),
            Self::WebText => Some(HeaderValue::from_static("application/grpc-web-text+proto")),
            Self::Foreign => None,
        }
    }

    /// Whether it is one of gRPC-web's.
    pub(crate) fn is_web(self) -> bool {
        matches!(self, Self::Web | Self::WebText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &'static str) -> Option<Wire> {
        Wire::of(&HeaderMap::from_iter([(
            header::CONTENT_TYPE,
            HeaderValue::from_static(kind),
        )]))
    }

    #[test]
    fn types_are_read_whole_and_without_their_parameters() {
        assert_eq!(of("application/grpc"), Some(Wire::Grpc));
        assert_eq!(of("Application/gRPC-Web+proto; charset=utf-8"), Some(Wire::Web));
        assert_eq!(of("application/grpc-web-text"), Some(Wire::WebText));
        for foreign in [
            "application/grpcfoo",
            "application/grpc+json",
            "application/grpc-web+json",
        ] {
            assert_eq!(of(foreign), Some(Wire::Foreign), "{foreign}");
        }
        assert_eq!(of("application/json"), None);
    }
}
