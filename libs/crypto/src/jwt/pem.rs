//! Keys as text (RFC 7468), read as strictly as tokens are: blocks and nothing between them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::key::KeyTextError;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// What stands between a begin and an end.
pub(super) struct Block {
    pub(super) label: String,
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// The blocks of a text, at least one.
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, KeyTextError> {
    // A setting of one line holds the line ends as two characters each.
    let text = Zeroizing::new(text.replace("\\n", "\n"));
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        let label = between(line, BEGIN)?;
        let mut body = Zeroizing::new(String::with_capacity(text.len()));
        let end = loop {
            match lines.next() {
                Some(line) if line.starts_with(DASHES) => break line,
                Some(line) => body.push_str(line),
                None => return Err(KeyTextError::NotPem),
            }
        };
        if between(end, END)? != label {
            return Err(KeyTextError::NotPem);
        }
        let der = STANDARD
            .decode(body.as_bytes())
            .map_err(|_| KeyTextError::NotPem)?;
        blocks.push(Block {
            label: label.to_owned(),
            der: Zeroizing::new(der),
        });
    }
    if blocks.is_empty() {
        return Err(KeyTextError::NotPem);
    }
    Ok(blocks)
}

fn between<'t>(line: &'t str, start: &str) -> Result<&'t str, KeyTextError> {
    line.strip_prefix(start)
        .and_then(|rest| rest.strip_suffix(DASHES))
        .ok_or(KeyTextError::NotPem)
}
