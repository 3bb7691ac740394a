//! The README's table of odd inputs names tests that there are.
use std::path::Path;

use crate::support::files;

#[test]
fn every_test_that_the_readme_names_is_there() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: Vec<String> =
        files(&here.join("tests/media")).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let readme = std::fs::read_to_string(here.join("README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut named = 0;
    for name in rows.filter_map(|row| row.split(" | ").nth(2)).flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        assert!(sources.iter().any(|source| source.contains(&format!("fn {name}("))), "there is no test {name}");
        named += 1;
    }
    assert!(named > 30, "{named}");
}
