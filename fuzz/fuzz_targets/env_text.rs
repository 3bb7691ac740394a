//! Any env file is read or refused; what was read is written and read back; and any configuration is checked whole.
#![no_main]
use rend_core::config::{Profile, Role, check, env_line, env_text};
use rend_fuzz::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(vars) = env_text(text) else { return };
    let lines: Vec<_> = vars.iter().map(|(name, value)| env_line(name, value)).collect();
    assert_eq!(env_text(&lines.join("\n")), Ok(vars.clone()));
    for profile in [Profile::Local, Profile::Production] {
        let _ = check(Role::All, profile, false, &vars);
    }
});
