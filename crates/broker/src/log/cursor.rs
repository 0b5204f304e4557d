//! A reader's place in a log, kept beside it.
//!
//! A move writes a new file, fsyncs it, puts it in place of the old one, and fsyncs the directory: after a crash the
//! cursor is where it was or where it was told to go, never elsewhere. It moves forward only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::disk::replace;
use super::error::{CursorError, FileError};

/// A place that outlives the process; clones, and cursors of one name, are the same place.
#[derive(Debug, Clone)]
pub struct Cursor {
    /// The place.
    kept: Arc<Kept>,
}

/// The place, and the file that keeps it.
#[derive(Debug)]
struct Kept {
    /// Its file.
    path: PathBuf,
    /// The offset last kept. Who only looks never waits for a disk.
    position: AtomicU64,
    /// Makes moves stand in a line.
    moving: Mutex<()>,
}

impl Cursor {
    /// Reads a cursor's file; without one it stands at `first`.
    pub(super) fn open(dir: &Path, name: &str, first: u64) -> Result<Self, CursorError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(CursorError::Name(name.to_owned()));
        }
        let path = dir.join(format!("{name}.cursor"));
        let position = match fs::read(&path) {
            Ok(bytes) => decode(&bytes).ok_or_else(|| CursorError::Damaged(path.clone()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => first,
            Err(error) => return Err(CursorError::File(FileError::at("read", &path)(error))),
        };
        Ok(Self { kept: Arc::new(Kept { path, position: AtomicU64::new(position), moving: Mutex::default() }) })
    }

    /// The next offset to read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.kept.position.load(Ordering::Acquire)
    }

    /// Moves to an offset and waits until that is durable. To move back does nothing. Dropping the future does not
    /// undo the move.
    ///
    /// # Errors
    /// [`CursorError::File`]: the move may be kept or not; move again.
    pub async fn advance(&self, to: u64) -> Result<(), CursorError> {
        let kept = Arc::clone(&self.kept);
        let moved = tokio::task::spawn_blocking(move || kept.advance(to)).await;
        moved.unwrap_or(Err(CursorError::Stopped))
    }
}

impl Kept {
    /// Moves to an offset, on a thread that may block.
    fn advance(&self, to: u64) -> Result<(), CursorError> {
        let _moving = self.moving.lock().unwrap_or_else(PoisonError::into_inner);
        if to <= self.position.load(Ordering::Acquire) {
            return Ok(());
        }
        let kept = replace(&self.path, &self.path.with_extension("cursor-next"), &encode(to));
        kept.map_err(FileError::at("write", &self.path)).map_err(CursorError::File)?;
        self.position.store(to, Ordering::Release);
        Ok(())
    }
}

/// The furthest place that any cursor of a directory keeps; one that does not read is told when it is opened.
pub(super) fn furthest(dir: &Path) -> io::Result<u64> {
    let mut furthest = 0;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "cursor") {
            furthest = furthest.max(decode(&fs::read(&path)?).unwrap_or_default());
        }
    }
    Ok(furthest)
}

/// Writes an offset with its checksum.
fn encode(position: u64) -> Vec<u8> {
    let position = position.to_le_bytes();
    [position.as_slice(), &crc32fast::hash(&position).to_le_bytes()].concat()
}

/// Reads an offset, if the checksum fits.
fn decode(bytes: &[u8]) -> Option<u64> {
    let (position, crc) = bytes.split_first_chunk::<8>()?;
    (crc32fast::hash(position).to_le_bytes() == crc).then(|| u64::from_le_bytes(*position))
}
