//! What the operating system grants this process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, info, warn};

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

/// Files of a connection with TLS: its socket, and the pair between that and the rest.
const FILES_WITH_TLS: u64 = 3;

/// Of the connections that are asked for, as many as there are files for. Where none is left, a process can't
/// even write a status.
pub(super) fn connections(asked: usize, tls: bool) -> usize {
    let Some(files) = getrlimit(Resource::Nofile).current else {
        return asked;
    };
    let most = room(files, tls);
    if most >= asked {
        return asked;
    }
    info!(
        asked,
        most, files, tls, "there are files for fewer connections than --most-connections says"
    );
    most
}

/// Files that are left for sources, servers, UDP ports and the store: an eighth, and no more than this.
const MOST_LEFT: u64 = 1024;

/// Connections that `files` are enough for.
fn room(files: u64, tls: bool) -> usize {
    let of_one = if tls { FILES_WITH_TLS } else { 1 };
    let most = (files - (files / 8).min(MOST_LEFT)) / of_one;
    usize::try_from(most).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_the_rest() {
        assert_eq!(room(1024, false), 896);
        assert_eq!(room(1024, true), 298);
        assert_eq!(room(1 << 20, true), 349_184);
        assert_eq!((room(0, true), room(u64::MAX, false) > 1 << 40), (1, true));
    }
}
