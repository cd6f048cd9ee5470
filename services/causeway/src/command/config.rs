//! `causeway config`: what each setting does and what was found.

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
    /// Write the text of .env.example.
    Example {
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
        Command::Example { markdown: page } => {
            print!("{}", if *page { markdown() } else { example() });
            Ok(())
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
