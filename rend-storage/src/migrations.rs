//! What holds for every folder of migrations.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

/// Fails unless `known` are the files of the folder `name`, in the order of their numbers and without a gap.
#[track_caller]
pub(crate) fn check(name: &str, known: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    assert_eq!(texts, known);
    for (n, file) in files.iter().enumerate() {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with(&format!("{:04}_", n + 1)), "{name}");
    }
}
