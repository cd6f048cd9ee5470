//! What is wrong with a setting, in words that may be printed.

/// One mistake, or one warning. The message never holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{setting}: {message}")]
pub struct Problem {
    /// The name as the operator wrote it, or `file:line` for a line that cannot be read.
    pub setting: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem of `setting`.
    pub fn new(setting: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            setting: setting.into(),
            message: message.into(),
        }
    }
}
