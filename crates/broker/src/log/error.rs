//! What can go wrong with a log, named by what its owner can do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An operation on a file or directory failed.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", .path.display())]
pub struct FileError {
    /// What was tried: a verb.
    action: &'static str,
    /// On which file.
    path: PathBuf,
    /// What the system said.
    #[source]
    source: io::Error,
}

impl FileError {
    /// Adds what was tried, and where, to what the system said.
    pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { action, path: path.to_owned(), source }
    }
}

/// Why a log does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open: close that first.
    #[error("open log {}: it is in use", .dir.display())]
    InUse {
        /// The log's directory.
        dir: PathBuf,
    },
    /// The file system refused: mend it and open again; nothing was changed.
    #[error("open log")]
    File(#[source] FileError),
    /// Records that were acknowledged cannot be read. Nothing was changed; bring the file back from a copy, or move the log away.
    #[error("open log: {} is damaged at byte {position}: {records} acknowledged records, or more, cannot be read", .file.display())]
    Damaged {
        /// The file with the damage.
        file: PathBuf,
        /// Where in it the damage begins.
        position: u64,
        /// How many records the damage is known to affect.
        records: u64,
    },
}

/// Why an append was not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The log holds as many bytes as it may: trim it, or go another way.
    #[error("append to log: it is full")]
    Full,
    /// The file system has too little space left: free some, or go another way.
    #[error("append to log: the file system is nearly full")]
    LowSpace,
    /// As many appends as may wait already do: try again, or go another way.
    #[error("append to log: too many appends wait")]
    Busy,
    /// The records are too many bytes for one append and never fit: split them.
    #[error("append to log: the records are too large for one append")]
    TooLarge,
    /// The disk failed; the records may be there after the next opening, or not. The next append tries a fresh file.
    #[error("append to log")]
    Failed(#[source] Arc<FileError>),
    /// The log is closed.
    #[error("append to log: it is closed")]
    Closed,
}

/// Why a cursor cannot be read or moved.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// A cursor's name is lower-case letters, digits and hyphens.
    #[error("`{0}` is no name for a cursor")]
    Name(String),
    /// The file system refused; the cursor is where it was, or, after a failed `advance`, possibly where it was told to go.
    #[error("keep cursor")]
    File(#[source] FileError),
    /// Its file is not what was written: remove it to begin at the log's first record.
    #[error("keep cursor: {} is damaged", .0.display())]
    Damaged(PathBuf),
    /// The task that writes was stopped with its runtime.
    #[error("keep cursor: the runtime stops")]
    Stopped,
}
