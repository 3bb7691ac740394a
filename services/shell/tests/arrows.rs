//! The arrows that ARCHITECTURE.md draws are the arrows in the manifests.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom.
type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_document_and_the_manifests_draw_the_same_arrows() {
    let root = root();
    let drawn = drawn(&fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap());
    let declared: Arrows = members(&root)
        .into_iter()
        .map(|manifest| (name(&manifest), imports(&manifest)))
        .filter(|(name, _)| drawn.contains_key(name))
        .collect();
    assert_eq!(drawn, declared);
}

#[test]
fn every_crate_of_ours_is_drawn_or_is_a_tool() {
    let root = root();
    let drawn = drawn(&fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap());
    let tools = ["xtask", "rend-examples", "rend-benches"];
    for manifest in members(&root) {
        let name = name(&manifest);
        assert!(drawn.contains_key(&name) || tools.contains(&name.as_str()), "{name} is not drawn");
    }
}

#[test]
fn no_library_imports_a_service_and_no_arrow_turns_back() {
    let root = root();
    let drawn = drawn(&fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap());
    for (from, to) in &drawn {
        for target in to {
            assert!(!reaches(&drawn, target, from), "{from} and {target} import each other");
        }
        if root.join(from).is_dir() {
            assert!(to.iter().all(|target| root.join(target).is_dir()), "the library {from} imports a service");
        }
    }
}

#[test]
fn the_root_holds_what_was_agreed() {
    let agreed = [
        "benches",
        "examples",
        "fuzz",
        "rend-cache",
        "rend-core",
        "rend-storage",
        "rend-telemetry",
        "rend-token",
        "services",
    ];
    let found: BTreeSet<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.') && !matches!(name.as_str(), "target" | "bench-results"))
        .collect();
    assert_eq!(found, agreed.map(str::to_owned).into());
}

fn reaches(arrows: &Arrows, from: &str, to: &str) -> bool {
    from == to || arrows.get(from).is_some_and(|next| next.iter().any(|next| reaches(arrows, next, to)))
}

fn drawn(document: &str) -> Arrows {
    let block = document.split("```arrows\n").nth(1).unwrap().split("```").next().unwrap();
    let arrow = |line: &str| {
        let (from, to) = line.split_once("->").unwrap();
        (from.trim().to_owned(), to.split_whitespace().map(str::to_owned).collect())
    };
    block.lines().map(arrow).collect()
}

/// The manifests of the workspace.
fn members(root: &Path) -> Vec<String> {
    let folders = ["", "services"].map(|folder| root.join(folder));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let manifests = entries.map(|entry| entry.unwrap().path().join("Cargo.toml"));
    manifests
        .filter(|path| path.is_file() && !path.starts_with(root.join("fuzz")))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

fn name(manifest: &str) -> String {
    let line = manifest.lines().find(|line| line.starts_with("name = ")).unwrap();
    line.trim_start_matches("name = ").trim_matches('"').to_owned()
}

/// Our crates that a manifest depends on; those of its tests do not count.
fn imports(manifest: &str) -> BTreeSet<String> {
    let section = manifest.split("\n[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let name = |line: &str| line.split(['.', ' ', '=']).next().unwrap().to_owned();
    section.lines().map(name).filter(|name| name.starts_with("rend-")).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
