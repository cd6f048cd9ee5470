//! What `causeway config explain NAME` says.

use std::fmt::Write as _;

use crate::owner::Owner;
use crate::registry;
use crate::setting::{Availability, BadValue, DefaultValue, Kind, Setting};
use crate::tier::Tier;

/// All that is known about `name`, as text for a terminal; `None` for a name outside the registry.
pub fn explain(name: &str) -> Option<String> {
    let asked = registry::find(name)?;
    let setting = registry::canonical(name)?;
    let mut text = String::new();
    if asked.name != setting.name {
        writeln!(text, "{name} is another name of {}.\n", setting.name).ok()?;
    }
    writeln!(text, "{}\n  {}\n", setting.name, setting.about).ok()?;
    for (title, words) in facts(setting) {
        writeln!(text, "  {title:<14} {words}").ok()?;
    }
    Some(text)
}

fn facts(setting: &Setting) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("Type", kind(setting)),
        ("Read by", owners(setting)),
        ("Default", default(setting)),
        ("Required", setting.required.to_owned()),
    ];
    if !setting.aliases.is_empty() {
        let order: Vec<_> = setting.names().collect();
        facts.push((
            "Names",
            format!("{} (the first that is not empty counts)", order.join(" > ")),
        ));
    }
    if !setting.fallbacks.is_empty() {
        facts.push((
            "When unset",
            format!("takes {}", setting.fallbacks.join(", then ")),
        ));
    }
    if let Some(effect) = malformed(setting) {
        facts.push(("Malformed", effect));
    }
    if let Some(risk) = setting.risk {
        facts.push(("Risk", format!("of the default: {risk}")));
    }
    facts.push(("Status", status(setting)));
    facts
}

/// The kind with its bounds or words.
pub(crate) fn kind(setting: &Setting) -> String {
    let words = match setting.kind {
        Kind::Text => "text".to_owned(),
        Kind::Secret => "secret".to_owned(),
        Kind::Integer(least, i64::MAX) => format!("whole number, at least {least}"),
        Kind::Integer(least, most) => format!("whole number, {least} to {most}"),
        Kind::Float(least, most) => format!("number, {least} to {most}"),
        Kind::Flag => "true or false".to_owned(),
        Kind::Switch => "1 or 0".to_owned(),
        Kind::List => "comma-separated list".to_owned(),
        Kind::Choice(words) => words.join(", "),
        Kind::Url(schemes) => format!("address ({})", schemes.join(" or ")),
    };
    if setting.secret && setting.kind != Kind::Secret {
        format!("{words}; secret")
    } else {
        words
    }
}

pub(crate) fn owners(setting: &Setting) -> String {
    setting
        .owners
        .iter()
        .map(|owner| owner.name())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The default in words, per tier where they differ.
pub(crate) fn default(setting: &Setting) -> String {
    match setting.default {
        DefaultValue::None => "none".to_owned(),
        DefaultValue::LocalGateway { everywhere: true } => "http://localhost:PORT".to_owned(),
        DefaultValue::LocalGateway { everywhere: false } => {
            "http://localhost:PORT; production: none".to_owned()
        }
        DefaultValue::Fixed {
            development,
            test,
            production,
        } if development == test && test == production => development.unwrap_or("none").to_owned(),
        fixed @ DefaultValue::Fixed { .. } => {
            let of = |tier| fixed.fixed(tier).unwrap_or("none");
            let (development, test) = (of(Tier::Development), of(Tier::Test));
            let production = of(Tier::Production);
            match development == test {
                true => format!("{development}; production: {production}"),
                false => format!("{development}; test: {test}; production: {production}"),
            }
        }
    }
}

fn malformed(setting: &Setting) -> Option<String> {
    let can_be_wrong = setting.check.is_some() || setting.each.is_some();
    if !can_be_wrong && matches!(setting.kind, Kind::Text | Kind::Secret | Kind::List) {
        return None;
    }
    Some(match setting.bad_value {
        BadValue::Refused => "the process does not start".to_owned(),
        BadValue::FallsBack => "a warning, and the default is used".to_owned(),
        BadValue::Disables => "a warning, and it counts as unset".to_owned(),
        BadValue::SafeSide(side) => format!("a warning, and {side} is used, the safe side"),
    })
}

/// Whether anything reads it.
pub(crate) fn status(setting: &Setting) -> String {
    match setting.availability {
        Availability::Live if setting.owners.contains(&Owner::Mesh) => {
            "read now, by every process".to_owned()
        }
        Availability::Live => "read now".to_owned(),
        Availability::Later => "recognised; its feature comes later".to_owned(),
        Availability::Ignored => setting
            .ignored_because()
            .unwrap_or("recognised without effect")
            .to_owned(),
    }
}
