//! What the operating system grants this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Raises the bound on open files to all that is allowed: a viewer is a file, and shells and
/// container runtimes start programs with room for a thousand.
pub(super) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => debug!(files = ?limit.maximum, "open files"),
        Err(error) => warn!(%error, files = ?limit.current, "the bound on open files could not be raised"),
    }
}
