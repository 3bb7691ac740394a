//! Configuration: every environment variable as data, read at once, with every problem told at once.
//!
//! [`check`] is what services call at their start and what `rend env check` runs on a file; [`variable`] holds the table
//! that both of them and the documentation are made from. A secret is never shown, only its shape.
mod check;
mod field;
mod problems;
mod profile;
mod secret;
mod settings;
pub mod variable;
mod vars;

pub use check::{UNKNOWN_NAMES_MAX, check, docs_markdown, profile_of};
pub use problems::{Problem, Problems, Severity};
pub use profile::{Profile, Role, Roles};
pub use secret::{
    SECRET_BITS_MIN, SECRET_BYTES_MIN, SECRET_DISTINCT_MIN, SIGNING_SECRET_BYTES_MIN, SecretText, Weakness,
    known_value, looks_live, shape_of, weakness_of,
};
pub use settings::Settings;
pub use variable::{Kind, Need, Reach, Variable};
pub use vars::{ENV_TEXT_ERRORS_MAX, EnvLineError, EnvTextErrors, Vars, env_line, env_text};
