//! The method table: what is true of each RPC, read from its options when the contracts are built.

use std::collections::HashMap;
use std::sync::LazyLock;

include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// What is true of one RPC.
#[derive(Debug, PartialEq, Eq)]
pub struct Method {
    /// Full name of the service, such as `causeway.auth.v1.AuthService`.
    pub service: &'static str,
    /// Name of the RPC, such as `Login`.
    pub name: &'static str,
    /// The gRPC path, `/<service>/<name>`.
    pub path: &'static str,
    /// The service of the mesh that answers, such as `auth`.
    pub owner: &'static str,
    /// What a caller must be or hold.
    pub rule: Rule,
    /// The kinds of caller that may use it.
    pub callers: &'static [CallerKind],
    /// The services that may call it, if it is an internal one.
    pub services: &'static [&'static str],
    /// Whether a person needs a second factor who has one, or of whom the workspace demands one.
    pub mfa: bool,
    /// Whether it needs none though it has effects and the workspace demands one.
    pub without_mfa: bool,
    /// The audit action it leaves, if any.
    pub audited: Option<&'static str>,
    /// Whether a repeat has a second effect.
    pub idempotency: Idempotency,
    /// Whether the answer is a stream.
    pub server_streaming: bool,
    /// Full name of the request message.
    pub input: &'static str,
    /// Full name of the response message.
    pub output: &'static str,
    /// Its REST routes.
    pub routes: &'static [Route],
    /// A foreign surface on which it answers too.
    pub surface: Option<Surface>,
    /// The wire shapes of its own REST routes, where they are not ours.
    pub dialect: Option<Dialect>,
    /// Whether a public RPC wants to know who calls where a bearer is shown.
    pub recognized: bool,
    /// Whether it answers also a session whose workspace was erased.
    pub after_erasure: bool,
    /// The HTTP status of success.
    pub success_status: u16,
    /// For how many seconds anybody may keep the answer over REST; 0 keeps none.
    pub cache_seconds: u32,
    /// The comment in the proto file.
    pub comment: &'static str,
}

/// What a caller must be or hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Anybody may call.
    Public,
    /// Any known caller may call.
    Authenticated,
    /// Only services may call, never through the gateway.
    Internal,
    /// The caller must hold `name`, which the built-in `role` and those above it do.
    Permission {
        /// The id of the permission.
        id: u16,
        /// Its name.
        name: &'static str,
        /// The lowest built-in role that holds it.
        role: Role,
    },
}

/// A kind of caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// A person with an access token.
    User,
    /// A program with a client's access token or an API key.
    Client,
    /// A personal access token.
    Token,
    /// Another service of the mesh.
    Service,
}

impl CallerKind {
    /// The word used in messages and in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Client => "client",
            Self::Token => "token",
            Self::Service => "service",
        }
    }

    /// The kind of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::User, Self::Client, Self::Token, Self::Service]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// A built-in role; each holds what those before it hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and makes things.
    Editor,
    /// Everything but giving the workspace away.
    Admin,
    /// Everything.
    Owner,
}

impl Role {
    /// From least to most.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Editor, Self::Admin, Self::Owner];

    /// The word used in tokens, messages and stores.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// The role of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// Whether a repeat of an RPC has a second effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// It has, unless an idempotency key says otherwise.
    Unknown,
    /// There is no effect at all.
    NoSideEffects,
    /// It has not.
    Idempotent,
}

/// A REST route of an RPC.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method in capitals.
    pub verb: &'static str,
    /// The path template, such as `/v1/secrets/{name}`.
    pub path: &'static str,
    /// Which part of the request message the body is: `*`, a field's name, or nothing.
    pub body: &'static str,
    /// Which field of the response message is the answer; the whole message if empty.
    pub response_body: &'static str,
}

/// A foreign HTTP surface, always POST.
#[derive(Debug, PartialEq, Eq)]
pub struct Surface {
    /// The wire shapes.
    pub dialect: Dialect,
    /// The path.
    pub path: &'static str,
}

/// The wire shapes of other people's APIs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's chat completions.
    OpenaiChat,
    /// OAuth 2.0 (RFC 6749).
    Oauth,
}

/// The RPC with that gRPC path.
pub fn method(path: &str) -> Option<&'static Method> {
    static BY_PATH: LazyLock<HashMap<&'static str, &'static Method>> =
        LazyLock::new(|| METHODS.iter().map(|method| (method.path, method)).collect());
    BY_PATH.get(path).copied()
}

/// The permissions that a built-in role holds, by name.
pub fn permissions_of(role: Role) -> &'static [&'static str] {
    static BY_ROLE: LazyLock<[Vec<&'static str>; 4]> = LazyLock::new(|| Role::ALL.map(held_by));
    &BY_ROLE[role as usize]
}

fn held_by(role: Role) -> Vec<&'static str> {
    PERMISSIONS
        .iter()
        .copied()
        .filter(|permission| {
            METHODS.iter().any(|method| {
                matches!(method.rule, Rule::Permission { name, role: lowest, .. } if name == *permission && lowest <= role)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_holds_what_the_one_below_holds() {
        for pair in Role::ALL.windows(2) {
            let [below, above] = [permissions_of(pair[0]), permissions_of(pair[1])];
            assert!(below.iter().all(|permission| above.contains(permission)));
        }
        assert_eq!(permissions_of(Role::Owner), PERMISSIONS);
    }

    #[test]
    fn one_permission_has_one_lowest_role() {
        for method in METHODS {
            let Rule::Permission { name, role, .. } = method.rule else {
                continue;
            };
            for other in METHODS {
                if let Rule::Permission {
                    name: same,
                    role: lowest,
                    ..
                } = other.rule
                    && same == name
                {
                    assert_eq!(
                        role, lowest,
                        "{} and {} differ on {name}",
                        method.path, other.path
                    );
                }
            }
        }
    }

    #[test]
    fn no_two_rpcs_share_a_route() {
        let mut seen = HashMap::new();
        for method in METHODS {
            for route in method.routes {
                let shape: Vec<&str> = route
                    .path
                    .split('/')
                    .map(|part| if part.starts_with('{') { "{}" } else { part })
                    .collect();
                let other = seen.insert((route.verb, shape), method.path);
                assert_eq!(
                    other, None,
                    "{} {} is also a route of another RPC",
                    route.verb, route.path
                );
            }
        }
    }
}
