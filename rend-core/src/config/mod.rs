//! Configuration.
mod vars;

pub use vars::{ENV_TEXT_ERRORS_MAX, EnvLineError, EnvTextErrors, Vars, env_line, env_text};
