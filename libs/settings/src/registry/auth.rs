//! Users, sessions and tokens.

use crate::check;
use crate::owner::Owner::{self, Auth, Gateway, Tasks, Tenancy};
use crate::setting::{BadValue, Setting, choice, flag, integer, list, secret, text, url};

const OWN: &[Owner] = &[Auth];
const WITH_DOOR: &[Owner] = &[Auth, Gateway];

pub(super) const SETTINGS: &[Setting] = &[
    choice(
        "REGISTRATION",
        &["open", "closed"],
        OWN,
        "Whether anybody may register a local account.",
    )
    .default("open")
    .risk("anybody who reaches the gateway can make an account")
    .ours(),
    secret(
        "JWT_SIGNING_SECRET",
        WITH_DOOR,
        "Key of access tokens with HS256, 32 bytes or more in production. Changing it ends them all.",
    )
    .aliases(&["AUTH_JWT_SECRET", "JWT_SECRET"])
    .fallbacks(&["NEXTAUTH_SECRET"])
    .default_outside_production("dev-secret-change-me")
    .required("in production; NEXTAUTH_SECRET stands in")
    .risk("everybody knows it, so everybody can sign tokens"),
    secret(
        "AUTH_JWT_SECRET",
        OWN,
        "ai-platform's name of JWT_SIGNING_SECRET.",
    )
    .alias_of("JWT_SIGNING_SECRET"),
    secret("JWT_SECRET", OWN, "Causeloop's name of JWT_SIGNING_SECRET.").alias_of("JWT_SIGNING_SECRET"),
    choice(
        "JWT_SIGNING_ALGORITHM",
        &["HS256", "EdDSA", "ES256"],
        WITH_DOOR,
        "With what access tokens are signed: a secret, or a pair of keys whose public half alone verifies.",
    )
    .default("HS256")
    .required("EdDSA or ES256 in production with auth and gateway apart")
    .ours(),
    secret(
        "JWT_SIGNING_PRIVATE_KEY",
        OWN,
        "Private key of access tokens with EdDSA or ES256: PKCS#8 in PEM (line ends may be \\n) or a JSON Web Key.",
    )
    .required("with JWT_SIGNING_ALGORITHM=EdDSA or ES256")
    .ours(),
    text(
        "JWT_VERIFYING_PUBLIC_KEYS",
        OWN,
        "Public keys that count too: the next one before it signs, the last one while its tokens live. PEM or a JWK set.",
    )
    .required("while keys roll")
    .ours(),
    secret(
        "NEXTAUTH_SECRET",
        WITH_DOOR,
        "Key of the browser session cookie. Changing it ends every session.",
    )
    .required("in production"),
    url(
        "NEXTAUTH_URL",
        WITH_DOOR,
        "Public address of the deployment, for sign-in callbacks and links in mail.",
    )
    .aliases(&["AUTH_URL"])
    .default_local_gateway(false)
    .placeholders(&[
        "https://playground.kaireonai.com",
        "https://playground.kaireonai.com/",
    ]),
    url("AUTH_URL", &[Auth, Tenancy], "Second name of NEXTAUTH_URL.").alias_of("NEXTAUTH_URL"),
    secret(
        "API_KEY_PEPPER",
        &[Auth, Tenancy],
        "Mixed into the stored hashes of tokens, keys and client secrets. A change voids them but for API_KEY_PEPPER_PREVIOUS.",
    )
    .required("in production"),
    secret(
        "API_KEY_PEPPER_PREVIOUS",
        OWN,
        "The former API_KEY_PEPPER: what it made is accepted, and stored anew when it is used.",
    )
    .required("during rotation")
    .ours(),
    secret(
        "AUTH_REFRESH_TOKEN_SECRET",
        OWN,
        "Key of the stored hash of refresh tokens.",
    )
    .fallbacks(&["JWT_SIGNING_SECRET"]),
    integer(
        "AUTH_ACCESS_TOKEN_TTL_MINUTES",
        (1, 525_600),
        &[Auth, Gateway, Tenancy],
        "How long an access token lives.",
    )
    .default("15"),
    integer(
        "AUTH_REFRESH_TOKEN_TTL_DAYS",
        (1, 3_650),
        WITH_DOOR,
        "How long a refresh token lives, anew at each use.",
    )
    .default("30"),
    integer(
        "AUTH_SESSION_TTL_DAYS",
        (1, 3_650),
        OWN,
        "How long a session lives whatever happens; no refresh makes it longer.",
    )
    .default("90")
    .ours(),
    integer(
        "AUTH_REFRESH_GRACE_SECONDS",
        (0, 120),
        OWN,
        "For how long a used refresh token still answers with its successor, whose answer may have been lost.",
    )
    .default("30")
    .ours(),
    text(
        "AUTH_JWT_ISSUER",
        WITH_DOOR,
        "The iss that access tokens carry and must carry; unset leaves it out.",
    ),
    text(
        "AUTH_JWT_AUDIENCE",
        WITH_DOOR,
        "The aud that access tokens carry and must carry; unset leaves it out.",
    ),
    text(
        "AUTH_REFRESH_COOKIE_NAME",
        WITH_DOOR,
        "Name of the refresh cookie.",
    )
    .check(check::cookie_name)
    .default("refresh_token"),
    text(
        "AUTH_REFRESH_COOKIE_PATH",
        WITH_DOOR,
        "Path of the refresh cookie; refresh and logout must lie under it.",
    )
    .check(check::absolute_path)
    .default("/auth"),
    text(
        "AUTH_REFRESH_COOKIE_DOMAIN",
        WITH_DOOR,
        "Domain of the refresh cookie; unset is the answering host alone.",
    )
    .check(check::cookie_domain),
    choice(
        "AUTH_REFRESH_COOKIE_SAMESITE",
        &["lax", "strict", "none"],
        WITH_DOOR,
        "SameSite of the refresh cookie; none needs a public address with https.",
    )
    .default("lax"),
    secret(
        "APP_API_KEY",
        WITH_DOOR,
        "Static key of task routes in X-API-Key. Unset: open outside production, shut in it.",
    )
    .required("advised in production"),
    choice(
        "AUTH_MODE",
        &["apikey", "hybrid", "auth"],
        WITH_DOOR,
        "What task routes ask for: a key, a token, or either.",
    )
    .default("apikey"),
    flag(
        "MFA_ENFORCEMENT_DISABLED",
        WITH_DOOR,
        "Lifts the second factor from writing requests, for test runs; refused in production.",
    )
    .bad_value(BadValue::SafeSide(false)),
    text(
        "MFA_ISSUER",
        OWN,
        "What authenticator apps call this installation.",
    )
    .default("Causeway")
    .ours(),
    flag(
        "MFA_STRICT",
        OWN,
        "Takes a code in its own 30 seconds only; else in the next 30 too, for slow typists.",
    )
    .default("false")
    .ours(),
    text(
        "AUTH_DEVICE_COOKIE_NAME",
        &[Gateway],
        "Name of the cookie by which a browser is known on which somebody signed in before.",
    )
    .check(check::cookie_name)
    .default("causeway_device")
    .ours(),
    integer(
        "AUTH_DEVICE_COOKIE_TTL_DAYS",
        (0, 400),
        WITH_DOOR,
        "How long such a browser is known: others' wrong guesses do not lock its owner out there. 0 knows none.",
    )
    .default("365")
    .ours(),
    url(
        "BREACHED_PASSWORDS_URL",
        OWN,
        "Range address of a list of breached passwords, asked by five digits of a SHA-1. Unset asks none.",
    )
    .ours(),
    url(
        "CLERK_JWKS_URL",
        OWN,
        "Keys of the Clerk tenant whose sessions may be exchanged; unset turns that off.",
    )
    .required("for the Clerk exchange")
    .placeholders(&["https://regular-mosquito-10.clerk.accounts.dev/.well-known/jwks.json"]),
    url(
        "GITHUB_SECRET_SCANNING_KEYS_URL",
        OWN,
        "Where GitHub publishes the keys by which it signs what it found; unset turns /auth/tokens/leaked/github off.",
    )
    .ours(),
    url(
        "CLERK_ISSUER",
        OWN,
        "The iss of a Clerk session, exactly; unset is where its keys are, without the well-known path.",
    )
    .ours(),
    text(
        "CLERK_AUDIENCE",
        OWN,
        "The aud a Clerk session must carry; unset does not look.",
    ),
    list(
        "CLERK_AUTHORIZED_PARTIES",
        OWN,
        "Frontend origins that may stand in azp of a Clerk session.",
    )
    .each(check::origin)
    .default("http://localhost:3000"),
    integer(
        "CLERK_TOKEN_MAX_SECONDS",
        (1, 86_400),
        OWN,
        "How much of its life a Clerk token may have before it at the exchange; a session's has a minute.",
    )
    .default("60")
    .ours(),
    choice(
        "CLERK_ACTORS",
        &["accept", "refuse"],
        OWN,
        "Whether a Clerk session counts in which somebody acts in the name of the person (act).",
    )
    .default("accept")
    .ours(),
    text(
        "GOOGLE_CLIENT_ID",
        OWN,
        "OAuth client of the Google sign-in; the button shows only with its secret.",
    ),
    secret("GOOGLE_CLIENT_SECRET", OWN, "Secret of the Google OAuth client.")
        .required("with GOOGLE_CLIENT_ID"),
    url(
        "OIDC_ISSUER_URL",
        OWN,
        "Issuer of a provider of OpenID Connect at which people sign in, exactly as its tokens say it.",
    )
    .required("with OIDC_CLIENT_ID")
    .ours(),
    text(
        "OIDC_CLIENT_ID",
        OWN,
        "Our client at that provider; it sends people back to /auth/oidc/NAME/callback of NEXTAUTH_URL.",
    )
    .required("with OIDC_ISSUER_URL")
    .ours(),
    secret(
        "OIDC_CLIENT_SECRET",
        OWN,
        "Secret of that client; a public client has none and is proven by PKCE.",
    )
    .ours(),
    text(
        "OIDC_PROVIDER_NAME",
        OWN,
        "What that provider is called in paths and in the log.",
    )
    .default("oidc")
    .ours(),
    list(
        "OIDC_SCOPES",
        OWN,
        "What that provider is asked for beside openid; email tells whether an address is proven.",
    )
    .default("email")
    .ours(),
    choice(
        "OIDC_REGISTRATION",
        &["open", "closed"],
        OWN,
        "Whether a first sign-in by Google or OIDC makes the person; unset does as REGISTRATION.",
    )
    .ours(),
    text(
        "SES_FROM_EMAIL",
        OWN,
        "Sender of mail. Unset sends none in production and logs it elsewhere.",
    )
    .check(check::email)
    .placeholders(&["support@kaireonai.com"]),
    url(
        "SES_ENDPOINT_URL",
        OWN,
        "Address of SES, where it is not the region's public one.",
    )
    .ours(),
    text(
        "AWS_REGION",
        &[Tasks, Auth, Tenancy],
        "Region of AWS clients whose own region is not set.",
    )
    .default("us-east-1"),
];
