//! The README's table of behaviours, held against the tests that it names.

use std::fs;
use std::path::{Path, PathBuf};

/// The functions of each file of tests, by the name that the README has for the file.
fn functions(module: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = match module.strip_prefix("rend_shell::") {
        Some(module) => vec![root.join(format!("../shell/src/{module}.rs"))],
        None => ["tests/edge", "tests", "src"].map(|folder| root.join(folder).join(format!("{module}.rs"))).to_vec(),
    };
    let there: Vec<PathBuf> = places.into_iter().filter(|file| file.exists()).collect();
    (!there.is_empty()).then(|| there.iter().map(|file| fs::read_to_string(file).unwrap()).collect())
}

#[test]
fn every_test_that_the_readme_names_exists() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut named = 0;
    for row in rows {
        let tests = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        for name in tests.split('`').skip(1).step_by(2) {
            let (module, function) = name.rsplit_once("::").unwrap_or_else(|| panic!("{name} names no test"));
            let (module, whole) = match (function, module.strip_suffix("::tests")) {
                ("tests", _) => (module, true),
                (_, Some(module)) => (module, false),
                _ => (module, function == "*"),
            };
            let text = functions(module).unwrap_or_else(|| panic!("{name}: there is no such file"));
            let exists = match function.strip_suffix('*') {
                _ if whole => text.contains("#[test]") || text.contains("#[tokio::test"),
                Some(begin) => text.contains(&format!("fn {begin}")),
                None => text.contains(&format!("fn {function}(")),
            };
            assert!(exists, "{name} is no test of {module}");
            named += 1;
        }
    }
    assert!(named > 50, "the table has become short: {named}");
}
