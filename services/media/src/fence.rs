//! Which files a run may see, held by Landlock where the kernel has it.
//!
//! A run reads programs and libraries, the files that it was given and its scratch folder, and nothing else; it writes to
//! its pipes and in the scratch folder. What was open before it started, as its pipes were, stays open. That files exist is
//! no secret: a run may learn a file's name and length, but not open it.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, path_beneath_rules,
};

/// The rules for one run. They are made before the fork, since that takes memory; none where the kernel has no Landlock.
#[derive(Debug)]
pub(crate) struct Fence(Option<RulesetCreated>);

impl Fence {
    /// Rules for `program`, which works in `scratch` and is given `reads`.
    pub(crate) fn around(program: &Path, scratch: &Path, reads: &[PathBuf]) -> Self {
        Self(rules(program, scratch, reads).ok())
    }

    /// Holds this process, and all that it starts, to the rules from here on. Makes system calls and nothing else.
    pub(crate) fn enter(&mut self) {
        if let Some(rules) = self.0.take() {
            // Where it fails the run is as free as where the kernel has no Landlock at all.
            let _ = rules.restrict_self();
        }
    }
}

/// Whether the kernel keeps runs from files that they were not given.
pub fn files_can_be_fenced() -> bool {
    let wanted = AccessFs::from_all(ABI::V1);
    let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(wanted);
    rules.and_then(Ruleset::create).is_ok()
}

fn rules(program: &Path, scratch: &Path, reads: &[PathBuf]) -> Result<RulesetCreated, RulesetError> {
    let own: BitFlags<AccessFs> = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir;
    // What an older kernel can not forbid is left out. A path that does not exist is passed over.
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, AccessFs::from_read(NEWEST)))?
        .add_rules(path_beneath_rules([program], AccessFs::Execute | AccessFs::ReadFile))?
        .add_rules(path_beneath_rules([NOWHERE], AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate))?
        .add_rules(path_beneath_rules(reads, AccessFs::ReadFile | AccessFs::ReadDir))?
        .add_rules(path_beneath_rules([scratch], own))
}

/// The newest rules of the kernel that are asked for: control over opening, changing, truncating and devices.
const NEWEST: ABI = ABI::V5;
/// Where programs and libraries lie, and what the loader and the C library read.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/dev/zero",
    "/dev/random",
    "/dev/urandom",
    "/sys/devices/system/cpu",
];
/// Where shells send what nobody wants to hear.
const NOWHERE: &str = "/dev/null";
