//! A small strict reader of `.env` files.
//!
//! Lines are `KEY=value`, `export KEY=value`, blank, or comments. A value is bare up to ` #`, in single
//! quotes (taken as it stands) or in double quotes (with `\n \r \t \" \\ \$`); quoted values may span
//! lines. Variables are not expanded. What is ambiguous between the usual readers is refused, and no error repeats a value.

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub line: usize,
    pub key: String,
    pub value: String,
}

/// A line that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub(crate) struct BadLine {
    pub line: usize,
    pub message: &'static str,
}

/// Reads all of `text`: the assignments in order, or every line that is wrong.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, Vec<BadLine>> {
    let mut cursor = Cursor {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
    };
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    while !cursor.rest.is_empty() {
        let line = cursor.line;
        match assignment(&mut cursor) {
            Ok(Some((key, value))) => entries.push(Entry { line, key, value }),
            Ok(None) => {}
            Err(message) => bad.push(BadLine { line, message }),
        }
        cursor.skip_line();
    }
    if bad.is_empty() { Ok(entries) } else { Err(bad) }
}

struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Cursor<'a> {
    /// What is left of the current line, without its end.
    fn this_line(&self) -> &'a str {
        let line = self.rest.split('\n').next().unwrap_or_default();
        line.strip_suffix('\r').unwrap_or(line)
    }

    fn advance(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
    }

    fn skip_line(&mut self) {
        self.advance(self.rest.find('\n').map_or(self.rest.len(), |at| at + 1));
    }

    fn skip_blanks(&mut self) {
        let line = self.this_line();
        self.advance(line.len() - line.trim_start().len());
    }
}

type Assignment = Option<(String, String)>;

fn assignment(cursor: &mut Cursor<'_>) -> Result<Assignment, &'static str> {
    cursor.skip_blanks();
    let line = cursor.this_line();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (before, _) = line.split_once('=').ok_or("is not KEY=value")?;
    let key = before.trim();
    let key = key
        .strip_prefix("export")
        .filter(|rest| rest.starts_with([' ', '\t']))
        .map_or(key, str::trim);
    if !is_name(key) {
        return Err("the name must be letters, digits and _, and not begin with a digit");
    }
    let key = key.to_owned();
    cursor.advance(before.len() + 1);
    let value = value(cursor)?;
    if value.contains('\0') {
        return Err("the value holds a NUL character");
    }
    Ok(Some((key, value)))
}

fn is_name(key: &str) -> bool {
    !key.is_empty()
        && !key.starts_with(|first: char| first.is_ascii_digit())
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn value(cursor: &mut Cursor<'_>) -> Result<String, &'static str> {
    if cursor.rest.starts_with('#') {
        return Err("quote a value that begins with #, or put a space before a comment");
    }
    cursor.skip_blanks();
    match cursor.rest.chars().next() {
        Some('\'') => single_quoted(cursor),
        Some('"') => double_quoted(cursor),
        _ => bare(cursor.this_line()),
    }
}

fn bare(line: &str) -> Result<String, &'static str> {
    let is_comment = |at: usize| at == 0 || line[..at].ends_with([' ', '\t']);
    let end = line
        .match_indices('#')
        .map(|(at, _)| at)
        .find(|at| is_comment(*at))
        .unwrap_or(line.len());
    let value = line[..end].trim();
    refuse_expansion(value)?;
    Ok(value.to_owned())
}

fn refuse_expansion(value: &str) -> Result<(), &'static str> {
    if value.contains("${") {
        return Err("variables are not expanded: write the value out, or put it in single quotes");
    }
    Ok(())
}

fn single_quoted(cursor: &mut Cursor<'_>) -> Result<String, &'static str> {
    cursor.advance(1);
    let end = cursor.rest.find('\'').ok_or("the quote is not closed")?;
    let value = unix_lines(&cursor.rest[..end]);
    cursor.advance(end + 1);
    after_quote(cursor)?;
    Ok(value)
}

fn double_quoted(cursor: &mut Cursor<'_>) -> Result<String, &'static str> {
    cursor.advance(1);
    let end = closing_quote(cursor.rest).ok_or("the quote is not closed")?;
    let raw = unix_lines(&cursor.rest[..end]);
    cursor.advance(end + 1);
    after_quote(cursor)?;
    refuse_expansion(&raw.replace("\\$", ""))?;
    unescape(&raw)
}

/// Where the next `"` is that no backslash escapes.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        let closes = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        closes.then_some(at)
    })
}

fn unescape(raw: &str) -> Result<String, &'static str> {
    let mut value = String::with_capacity(raw.len());
    let mut letters = raw.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            value.push(letter);
            continue;
        }
        value.push(match letters.next() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(same @ ('"' | '\\' | '$' | '\'')) => same,
            _ => return Err("unknown escape in double quotes; use single quotes for backslashes"),
        });
    }
    Ok(value)
}

fn unix_lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

fn after_quote(cursor: &Cursor<'_>) -> Result<(), &'static str> {
    let rest = cursor.this_line();
    let comment = rest.trim_start();
    let fits = comment.is_empty() || (comment.starts_with('#') && comment.len() < rest.len());
    if fits {
        Ok(())
    } else {
        Err("there is text after the closing quote")
    }
}

#[cfg(test)]
mod tests;
