//! From the text of a value to the value.

use secrecy::{ExposeSecret as _, SecretString};

use crate::check;
use crate::setting::{Kind, Setting};

/// A value that was read.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Secret(SecretString),
    Integer(i64),
    Float(f64),
    Flag(bool),
    List(Vec<String>),
}

/// Reads `text` as `setting` wants it; the reason repeats the value only where nothing secret can be in it.
pub(crate) fn read(setting: &Setting, text: &str) -> Result<Value, String> {
    let value = match setting.kind {
        Kind::Text => Value::Text(text.to_owned()),
        Kind::Url(schemes) => {
            check::url(text, schemes)?;
            Value::Text(text.to_owned())
        }
        Kind::Secret => Value::Secret(text.to_owned().into()),
        Kind::Integer(least, most) => Value::Integer(integer(setting, text, least, most)?),
        Kind::Float(least, most) => Value::Float(float(setting, text, least, most)?),
        Kind::Flag => Value::Flag(flag(text).ok_or_else(|| wrong(setting, text, "true or false"))?),
        Kind::Switch => Value::Flag(switch(text).ok_or_else(|| wrong(setting, text, "1 or 0"))?),
        Kind::List => Value::List(list(text)),
        Kind::Choice(words) if words.contains(&text) => Value::Text(text.to_owned()),
        Kind::Choice(words) => return Err(wrong(setting, text, &format!("one of {}", words.join(", ")))),
    };
    if let Some(check) = setting.check {
        check(text)?;
    }
    if let (Some(check), Value::List(entries)) = (setting.each, &value) {
        entries.iter().try_for_each(|entry| check(entry))?;
    }
    Ok(value)
}

/// Splits at commas, trims, drops blanks (B-CFG-13).
pub(crate) fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect()
}

fn integer(setting: &Setting, text: &str, least: i64, most: i64) -> Result<i64, String> {
    let expected = match most {
        i64::MAX => format!("a whole number of at least {least}"),
        _ => format!("a whole number from {least} to {most}"),
    };
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| wrong(setting, text, &expected))
}

fn float(setting: &Setting, text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| wrong(setting, text, &format!("a number from {least} to {most}")))
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => flag(text),
    }
}

fn wrong(setting: &Setting, text: &str, expected: &str) -> String {
    if setting.secret || text.chars().count() > 40 {
        return format!("must be {expected}");
    }
    format!("must be {expected}, not {text:?}")
}

impl Value {
    /// The value as text, secret or not.
    pub(crate) fn raw(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Secret(text) => text.expose_secret().to_owned(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::List(entries) => entries.join(","),
        }
    }
}
