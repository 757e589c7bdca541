//! Where ffmpeg is.

use super::Error;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// An ffmpeg that may be there. It is looked for each time, so that one that is installed later is found.
pub(super) struct Program {
    named: Option<PathBuf>,
}

impl Program {
    pub(super) const fn new(named: Option<PathBuf>) -> Self {
        Self { named }
    }

    pub(super) fn find(&self) -> Result<PathBuf, Error> {
        if let Some(named) = &self.named {
            let found = std::path::absolute(named).ok().filter(|path| is_program(path));
            return found.ok_or_else(|| Error::NoProgram(named.clone()));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .map(|folder| folder.join("ffmpeg"))
            // A relative folder on PATH is whatever the working directory is.
            .find(|path| path.is_absolute() && is_program(path))
            .ok_or(Error::Missing)
    }
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
