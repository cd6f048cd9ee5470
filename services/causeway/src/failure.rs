//! Why the program ends without having done its work.

use std::process::ExitCode;

use causeway_settings::Problem;

/// Why the program ends; decides its exit code.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Settings that are wrong, all of them: exit code 64.
    #[error("{} wrong:\n{}", count(.0.len()), lines(.0))]
    Configuration(Vec<Problem>),
    /// Anything else: exit code 1.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl Failure {
    /// One wrong setting.
    pub fn setting(name: &str, message: impl Into<String>) -> Self {
        Self::Configuration(vec![Problem {
            setting: name.to_owned(),
            message: message.into(),
        }])
    }

    /// The exit code of the program (contract §8).
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => ExitCode::from(64),
            Self::Other(_) => ExitCode::from(1),
        }
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Configuration(problems)
    }
}

fn count(problems: usize) -> String {
    if problems == 1 {
        "1 setting is".to_owned()
    } else {
        format!("{problems} settings are")
    }
}

fn lines(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(|problem| format!("  {problem}"))
        .collect::<Vec<_>>()
        .join("\n")
}
