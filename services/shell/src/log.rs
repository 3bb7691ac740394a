use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging to standard error: lines for a person at a terminal, JSON everywhere else.
///
/// `filter` is in the syntax of tracing's directives, such as `info` or `info,rend_edge=debug`; one that does not parse
/// counts as `info`. Only the first call has an effect.
pub fn init_logs(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = if std::io::stderr().is_terminal() {
        builder.compact().try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
