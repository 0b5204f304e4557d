//! Looking through a log's directory that nobody has open: what is there, what reads, what does not, and where.
//!
//! Nothing is changed and nothing is locked, so a damaged log can be looked at as it is. Where opening stops at the first
//! damage, this goes on behind it: the next batch whose header stands where its checksum says is good again.
//!
//! ```text
//! file   good | good | damaged … | good | torn tail
//!        records …     a hole      records …  nobody was promised these
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::{CursorError, FileError};
use super::frame::{self, FRAME_BYTES, HEADER_BYTES, Header, split_frame, wide};
use super::recovery::{find_header, list, written};
use super::segment::Segment;
use super::{Cursor, Log};
use crate::Received;

/// One thing that stands in a log's directory.
#[derive(Debug)]
pub enum Finding {
    /// A record that reads.
    Record(Received),
    /// A record that does not read.
    Unreadable {
        /// Its offset.
        offset: u64,
        /// Its bytes as they stand; the rest of its batch where its length is damaged.
        raw: Vec<u8>,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes in which no record can be told from another.
    Hole {
        /// Where they begin.
        position: u64,
        /// How many they are.
        bytes: u64,
        /// The offsets that are lost in them: from the first, up to the second.
        offsets: (u64, u64),
    },
    /// The tail of the last file: an append that was never acknowledged.
    Torn {
        /// How many bytes.
        bytes: u64,
    },
}

/// One file of a log.
#[derive(Debug, Clone)]
pub struct Segmented {
    /// Where it is.
    pub path: PathBuf,
    /// The offset of its first record.
    pub base: u64,
    /// Its size, with the room behind the last batch.
    pub bytes: u64,
    /// The first offset of the next file; none for the last one.
    until: Option<u64>,
}

/// The files of a log, oldest first.
///
/// # Errors
/// When the directory cannot be read.
pub fn files(dir: &Path) -> Result<Vec<Segmented>, FileError> {
    let bases = list(dir).map_err(FileError::at("list", dir))?;
    let mut files = Vec::with_capacity(bases.len());
    for (at, base) in bases.iter().enumerate() {
        let path = Segment::path(dir, *base);
        let bytes = fs::metadata(&path).map_err(FileError::at("look at", &path))?.len();
        files.push(Segmented { path, base: *base, bytes, until: bases.get(at + 1).copied() });
    }
    Ok(files)
}

/// The cursors of a log's directory by name, each with its position.
///
/// # Errors
/// When one cannot be read or is damaged.
pub fn cursors(dir: &Path) -> Result<Vec<(String, u64)>, CursorError> {
    let entries = fs::read_dir(dir).map_err(FileError::at("list", dir)).map_err(CursorError::File)?;
    let mut cursors = Vec::new();
    for entry in entries {
        let path = entry.map_err(FileError::at("list", dir)).map_err(CursorError::File)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".cursor"));
        if let Some(name) = name {
            cursors.push((name.to_owned(), Cursor::open(dir, name, 0)?.position()));
        }
    }
    cursors.sort();
    Ok(cursors)
}

/// Says whether a process has the log open.
#[must_use]
pub fn is_in_use(dir: &Path) -> bool {
    File::open(dir.join("lock")).is_ok_and(|lock| lock.try_lock().is_err())
}

/// Walks through a file and shows everything in it, in order.
///
/// # Errors
/// When the file itself cannot be read; damage is a finding.
pub fn walk(file: &Segmented, show: &mut dyn FnMut(Finding)) -> Result<(), FileError> {
    let path = &file.path;
    let opened = File::open(path).map_err(FileError::at("open", path))?;
    // Who has the log open may have given room back since the file was listed.
    let size = opened.metadata().map_err(FileError::at("look at", path))?.len().min(file.bytes);
    let written = written(&opened, size).map_err(FileError::at("read", path))?;
    Walk { file: &opened, of: file, size, written, position: 0, next: file.base }.run(show).map_err(FileError::at("read", path))
}

/// Opens an empty log in a directory that must not hold one yet.
///
/// # Errors
/// When the directory holds anything, or the log does not open.
pub fn fresh(dir: &Path) -> Result<Log, super::OpenError> {
    let taken = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        let error = io::Error::new(io::ErrorKind::AlreadyExists, "the directory is not empty");
        return Err(super::OpenError::File(FileError::at("make a log in", dir)(error)));
    }
    Log::open(dir, &super::Options { capacity_bytes: u64::MAX, ..super::Options::default() })
}

/// A walk through one file.
struct Walk<'a> {
    /// The file.
    file: &'a File,
    /// What is known of it.
    of: &'a Segmented,
    /// Its size.
    size: u64,
    /// Where nothing but zeros follow: room that was made ahead.
    written: u64,
    /// Where the next batch is expected.
    position: u64,
    /// The offset that is expected.
    next: u64,
}

impl Walk<'_> {
    /// Walks to the end.
    fn run(mut self, show: &mut dyn FnMut(Finding)) -> io::Result<()> {
        while self.position < self.written && self.of.until != Some(self.next) {
            let Some(header) = self.header()? else {
                self.pass(show)?;
                continue;
            };
            let mut body = vec![0; usize::try_from(header.len).unwrap_or(usize::MAX)];
            self.file.read_exact_at(&mut body, self.position + wide(HEADER_BYTES))?;
            let last = self.position + header.batch_bytes() >= self.written && self.of.until.is_none();
            if last && !header.covers(&body) {
                show(Finding::Torn { bytes: self.written - self.position });
            } else {
                records(header, &body, show);
            }
            self.position += header.batch_bytes();
            self.next = header.next();
        }
        if let Some(until) = self.of.until.filter(|until| *until != self.next) {
            show(Finding::Hole { position: self.position, bytes: 0, offsets: (self.next, until) });
        }
        Ok(())
    }

    /// The header of a whole batch at this position.
    fn header(&self) -> io::Result<Option<Header>> {
        if self.size - self.position < wide(HEADER_BYTES) {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut bytes, self.position)?;
        let header = Header::decode(&bytes, self.position);
        Ok(header.filter(|header| header.base == self.next && header.batch_bytes() <= self.size - self.position))
    }

    /// Passes over what is no batch, up to the next that is; that one may stand here, where only those before it are missing.
    fn pass(&mut self, show: &mut dyn FnMut(Finding)) -> io::Result<()> {
        let from = self.position;
        match find_header(self.file, self.size, (from, self.next))? {
            Some((header, at)) => {
                show(Finding::Hole { position: from, bytes: at - from, offsets: (self.next, header.base) });
                (self.position, self.next) = (at, header.base);
            }
            None => {
                self.position = self.size;
                match self.of.until {
                    None => show(Finding::Torn { bytes: self.written - from }),
                    Some(until) => {
                        show(Finding::Hole { position: from, bytes: self.written - from, offsets: (self.next, until) });
                        self.next = until;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Shows the records of a batch, each by itself.
fn records(header: Header, body: &[u8], show: &mut dyn FnMut(Finding)) {
    let mut rest = body;
    for offset in header.base..header.next() {
        let Some((len, crc, behind)) = split_frame(rest) else {
            show(Finding::Unreadable { offset, raw: rest.to_vec(), reason: "the batch breaks off before it".to_owned() });
            continue;
        };
        let Some((bytes, behind)) = behind.split_at_checked(len) else {
            let raw = rest.get(FRAME_BYTES..).unwrap_or_default().to_vec();
            show(Finding::Unreadable { offset, raw, reason: "its length is damaged".to_owned() });
            rest = &[];
            continue;
        };
        rest = behind;
        if crc32fast::hash(bytes) == crc {
            match frame::decode(bytes) {
                Ok(record) => show(Finding::Record(Received { offset, record })),
                Err(error) => show(Finding::Unreadable { offset, raw: bytes.to_vec(), reason: error.to_string() }),
            }
        } else {
            show(Finding::Unreadable { offset, raw: bytes.to_vec(), reason: "its checksum does not fit".to_owned() });
        }
    }
}

#[cfg(test)]
#[path = "offline_tests.rs"]
mod tests;
