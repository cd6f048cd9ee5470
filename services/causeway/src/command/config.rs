//! `causeway config`: what each setting does and what was found.

use std::path::PathBuf;

use anyhow::Context as _;
use causeway_settings::{Problem, Report, Sources, example, explain, markdown};
use clap::Subcommand;

use crate::failure::Failure;
use crate::serve::Roles;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show every value, where it was found, and what is wrong; exit code 64 if a process would not start.
    Check {
        /// The roles that the process would have.
        #[arg(long, default_value = "all")]
        roles: Roles,
    },
    /// All that is known about one setting.
    Explain {
        /// Its name, or one of its other names.
        name: String,
    },
    /// Write .env.example: every setting with its description, all commented out.
    Example {
        /// Where to write it; `-` is the terminal.
        #[arg(long, default_value = "-")]
        output: PathBuf,
        /// Write the reference page instead.
        #[arg(long)]
        markdown: bool,
    },
}

pub(crate) fn run(command: &Command, sources: Result<Sources, Vec<Problem>>) -> Result<(), Failure> {
    match command {
        Command::Check { roles } => check(&sources?, roles),
        Command::Explain { name } => match explain(name) {
            Some(text) => {
                println!("{text}");
                Ok(())
            }
            None => {
                Err(anyhow::anyhow!("there is no setting {name}; `causeway config example` lists all").into())
            }
        },
        Command::Example {
            output,
            markdown: page,
        } => {
            let text = if *page { markdown() } else { example() };
            if output.as_os_str() == "-" {
                print!("{text}");
                return Ok(());
            }
            let written = std::fs::write(output, text);
            Ok(written.with_context(|| format!("write {}", output.display()))?)
        }
    }
}

fn check(sources: &Sources, roles: &Roles) -> Result<(), Failure> {
    let report = Report::of(sources, &roles.owners());
    print!("{report}");
    if report.is_sound() {
        Ok(())
    } else {
        Err(Failure::Configuration(report.problems))
    }
}
