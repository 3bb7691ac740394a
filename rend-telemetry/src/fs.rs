//! Files in one directory of the operating system. Calls block, so a rim puts them on a thread of their own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::files::{FilesError, SegmentFiles, checked, is_name};

/// The files of one directory.
///
/// [`sync`](SegmentFiles::sync) of a file that this handle created also syncs the directory: without it, half a minute
/// of synced files can lose their names when the power fails.
#[derive(Debug)]
pub struct FsFiles {
    root: PathBuf,
    /// The file appended to last, kept open.
    last: Option<(String, File)>,
    /// Names created since the directory was last synced.
    fresh: bool,
}

impl FsFiles {
    /// The files of `root`, which is created when absent.
    ///
    /// # Errors
    ///
    /// [`FilesError::Io`] when the directory cannot be made or read.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, FilesError> {
        let root = root.as_ref().to_path_buf();
        fs::create_dir_all(&root).map_err(cause)?;
        fs::read_dir(&root).map_err(cause)?;
        Ok(Self { root, last: None, fresh: true })
    }

    fn file(&mut self, name: &str) -> Result<&mut File, FilesError> {
        if self.last.as_ref().is_none_or(|(last, _)| last != name) {
            let path = self.root.join(name);
            let open = |create| OpenOptions::new().append(true).create_new(create).open(&path);
            let file = match open(false) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.fresh = true;
                    open(true)
                }
                other => other,
            };
            self.last = Some((name.to_owned(), file.map_err(cause)?));
        }
        self.last.as_mut().map(|(_, file)| file).ok_or(FilesError::BadName)
    }
}

impl SegmentFiles for FsFiles {
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), FilesError> {
        let name = checked(name)?;
        self.file(name)?.write_all(bytes).map_err(cause)
    }

    fn sync(&mut self, name: &str) -> Result<(), FilesError> {
        let name = checked(name)?;
        if !self.root.join(name).exists() {
            return Ok(());
        }
        self.file(name)?.sync_data().map_err(cause)?;
        if self.fresh {
            File::open(&self.root).and_then(|dir| dir.sync_all()).map_err(cause)?;
            self.fresh = false;
        }
        Ok(())
    }

    fn read(&self, name: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, FilesError> {
        let name = checked(name)?;
        match File::open(self.root.join(name)) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(bytes_max as u64).read_to_end(&mut bytes).map_err(cause)?;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cause(error)),
        }
    }

    fn remove(&mut self, name: &str) -> Result<(), FilesError> {
        let name = checked(name)?;
        if self.last.as_ref().is_some_and(|(last, _)| last == name) {
            self.last = None;
        }
        match fs::remove_file(self.root.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cause(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn list(&self) -> Result<Vec<(String, u64)>, FilesError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(cause)? {
            let entry = entry.map_err(cause)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Ok(about) = entry.metadata() else { continue };
            if is_name(&name) && about.is_file() {
                files.push((name, about.len()));
            }
        }
        files.sort();
        Ok(files)
    }
}

fn cause(error: io::Error) -> FilesError {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        FilesError::NoSpace
    } else {
        FilesError::Io(error)
    }
}
