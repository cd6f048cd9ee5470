//! The documents made from the registry: `.env.example` and the settings page.

use crate::explain;
use crate::registry;
use crate::rules::{presence, production};
use crate::setting::{Availability, DefaultValue, Setting};
use crate::tier::Tier;

const EXAMPLE_HEAD: &str = "\
# Every setting, with its default in development. Made by `causeway config example` from the registry.
#
# Copy to .env and set what you need: nothing needs to be set to try the system out. Files load in the order
# .env, .env.local, .env.TIER, .env.TIER.local, then the process environment; the later one wins. Empty means
# unset. Production values belong in a secret manager, not in files.
";

/// The text of `.env.example`: every name once, all of them commented out.
pub fn example() -> String {
    let mut text = EXAMPLE_HEAD.to_owned();
    for (title, settings) in registry::SECTIONS {
        text.push_str(&format!("\n# ---- {title} ----\n"));
        settings
            .iter()
            .for_each(|setting| text.push_str(&example_entry(setting)));
    }
    text
}

fn example_entry(setting: &Setting) -> String {
    let mut remarks = Vec::new();
    if setting.required != "never" {
        remarks.push(format!("Required: {}.", setting.required));
    }
    if setting.availability == Availability::Later {
        remarks.push("Its feature comes later.".to_owned());
    }
    let value = match setting.default {
        DefaultValue::LocalGateway { .. } => "http://localhost:4000",
        DefaultValue::None | DefaultValue::Fixed { .. } => {
            setting.default.fixed(Tier::Development).unwrap_or_default()
        }
    };
    let remarks = remarks
        .iter()
        .map(|remark| format!(" {remark}"))
        .collect::<String>();
    format!("\n# {}{remarks}\n# {}={value}\n", setting.about, setting.name)
}

const PAGE_HEAD: &str = "\
# Settings

Made from the registry (`cargo run -p causeway-settings --example documents`); a test keeps it up to date.
`causeway config check` shows what is in force and where it comes from, `causeway config explain NAME` all about
one name, `causeway config example` a file to start from.

## How values are found

- **Files**: `.env`, `.env.local`, `.env.{tier}`, `.env.{tier}.local`, then the process environment; the later one
  wins. This order differs from Next.js, which puts `.env.local` above `.env.{tier}` and skips it in tests.
- **Tier**: `NODE_ENV` of the process, else of `.env` or `.env.local`, else development. An unknown word stops
  the start.
- **Empty means unset**, after layering: an empty value in a later file takes an earlier one away.
  The one exception is `ALLOWED_COMMANDS`, where set and empty allows nothing.
- **Other names**: the first that is not empty counts, in the order shown. Values are never merged. Two that
  differ are a warning, and in production an error for secrets and allowlists.
- **Malformed values** stop the start, all listed at once, exit code 64; the few exceptions are marked.
- **Unknown variables** are no error. Recognised names without effect give a note at start.
- **File syntax**: `KEY=value`, `export KEY=value`, comments, single quotes (as it stands), double quotes
  (`\\n \\r \\t \\\" \\\\ \\$`). Variables are not expanded; `${` outside single quotes is refused.
- **Language models**: the first group that applies: `USE_MOCK_LLM`, a tenant's own choice, the `AI_` names,
  `LLM_PROVIDER`, `LLM_PROVIDER_ORDER`. Groups never lend each other keys.
- **Limits** are counted in each process: with replicas, each counts for itself.
- **Cron tokens**: with `DRAIN_QUEUES_TOKEN` set, `CRON_SECRET` and `CRON_TOKEN` no longer open drain-queues.
- **Redis**: the all-in-one program works without. In production a separate worker, or `EVENT_PUBLISHER=redis`,
  does not.
- **AWS clients** take their credentials from the standard AWS names and files, which are not listed here.
";

const PRODUCTION_REST: &str = "\
- `JWT_SIGNING_SECRET` must be changed from the public literal and be at least 32 bytes.
- `JWT_SIGNING_ALGORITHM` must be EdDSA or ES256 where gateway and auth are processes of their own. `JWT_SIGNING_SECRET`
  need not be set then, unless auth has no `AUTH_REFRESH_TOKEN_SECRET`.
- `CORS_ALLOWED_ORIGINS` must not hold `*`.
- `CLERK_JWKS_URL` must begin with https://.
- `KMS_ENDPOINT_URL` must begin with https://, unless it is on this machine.
- `AUTH_REFRESH_COOKIE_SAMESITE` may be none only with a public address with https.
- A language model provider that is named must have its key and model.
- Two names of one secret or allowlist must not differ.

A process checks only what it reads: scoring alone does not ask for the session secret.
";

/// The text of `docs/settings.md`.
pub fn markdown() -> String {
    let mut text = PAGE_HEAD.to_owned();
    text.push_str("\n## Defaults that are a risk\n\n");
    for setting in registry::all() {
        if let Some(risk) = setting.risk {
            text.push_str(&format!("- `{}`: {risk}.\n", setting.name));
        }
    }
    text.push_str(&production());
    for (title, settings) in registry::SECTIONS {
        text.push_str(&format!("\n## {title}\n\n"));
        text.push_str(
            "| Name | What it does | Type | Default | Required | Read by |\n|---|---|---|---|---|---|\n",
        );
        settings.iter().for_each(|setting| text.push_str(&row(setting)));
    }
    text
}

/// What the production tier asks for beyond well-formed values.
fn production() -> String {
    let mut text = "\n## What production refuses to start without, or with\n\n".to_owned();
    for capability in presence::REQUIRED {
        let or: String = capability
            .or
            .iter()
            .map(|other| format!(" or `{other}`"))
            .collect();
        text.push_str(&format!("- `{}`{or} must be set.\n", capability.setting));
    }
    for (name, _, message) in production::REFUSED {
        text.push_str(&format!("- `{name}` {message}.\n"));
    }
    text.push_str(PRODUCTION_REST);
    text
}

fn row(setting: &Setting) -> String {
    let cells = [
        format!("`{}`", setting.name),
        about(setting),
        explain::kind(setting),
        default(setting),
        setting.required.to_owned(),
        explain::owners(setting),
    ];
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn about(setting: &Setting) -> String {
    let mut about = setting.about.to_owned();
    if !setting.aliases.is_empty() {
        about.push_str(&format!(
            " Other names, in order: {}.",
            setting.aliases.join(", ")
        ));
    }
    if !setting.fallbacks.is_empty() {
        about.push_str(&format!(" Unset takes {}.", setting.fallbacks.join(", then ")));
    }
    match setting.availability {
        Availability::Later => about.push_str(" *Later.*"),
        Availability::Ignored => about.push_str(" *No effect.*"),
        Availability::Live => {}
    }
    about
}

fn default(setting: &Setting) -> String {
    match explain::default(setting).as_str() {
        "none" => String::new(),
        words => words.replace('*', "\\*"),
    }
}
