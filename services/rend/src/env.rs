//! `rend env check` and `rend env docs`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use rend_core::config::{Profile, Role, Vars, check, docs_markdown, env_text, profile_of};
use rend_shell::ProcessVars;

use crate::Outcome;

#[derive(Subcommand)]
pub(crate) enum EnvVerb {
    /// Read an environment as a service would, and print everything that is wrong with it
    Check {
        /// For which service
        #[arg(long, value_enum, default_value_t = RoleWord::All)]
        role: RoleWord,
        /// An env file to read in place of the environment
        #[arg(long)]
        file: Option<PathBuf>,
        /// How strictly to judge [default: what `REND_ENV` says]
        #[arg(long, value_enum)]
        profile: Option<ProfileWord>,
        /// Let known development values pass
        #[arg(long)]
        allow_dev_defaults: bool,
    },
    /// Print every variable as a Markdown table
    Docs,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum RoleWord {
    Api,
    Worker,
    Edge,
    All,
    Up,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ProfileWord {
    Local,
    Production,
}

pub(crate) fn env(verb: &EnvVerb) -> Outcome {
    match verb {
        EnvVerb::Check { role, file, profile, allow_dev_defaults } => {
            let vars: Box<dyn Vars> = match file {
                Some(path) => {
                    let text =
                        fs::read_to_string(path).map_err(|e| format!("{} can not be read: {e}", path.display()))?;
                    Box::new(env_text(&text).map_err(|e| format!("{}: {e}", path.display()))?)
                }
                None => Box::new(ProcessVars),
            };
            let role = match role {
                RoleWord::Api => Role::Api,
                RoleWord::Worker => Role::Worker,
                RoleWord::Edge => Role::Edge,
                RoleWord::All => Role::All,
                RoleWord::Up => Role::Up,
            };
            let profile = match profile {
                Some(ProfileWord::Local) => Profile::Local,
                Some(ProfileWord::Production) => Profile::Production,
                None => profile_of(vars.as_ref()),
            };
            let (_, problems) = check(role, profile, *allow_dev_defaults, vars.as_ref());
            for problem in problems.iter() {
                println!("{problem}");
            }
            if problems.is_fatal() {
                return Ok(ExitCode::FAILURE);
            }
            println!("the environment is fit to start with");
            Ok(ExitCode::SUCCESS)
        }
        EnvVerb::Docs => {
            print!("{}", docs_markdown());
            Ok(ExitCode::SUCCESS)
        }
    }
}
