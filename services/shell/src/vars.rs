use rend_core::config::Vars;

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessVars;

impl Vars for ProcessVars {
    #[expect(clippy::disallowed_methods, reason = "this is the rim's environment")]
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}
