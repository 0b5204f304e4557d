//! Reading a log's files after whatever ended the last process.
//!
//! A batch is fsynced before the next is written, so only the last batch of the last file can be half there: the
//! torn tail, which nobody was promised, and which is cut off. Everything else that does not read is damage to
//! records that were acknowledged, and stops the opening. Zeros at a file's end are room that was made ahead: nothing.
//!
//! ```text
//! last file      good | good | bad              torn tail: cut
//! last file      good | bad  | …a later batch   damage
//! earlier file   good | bad  |                  damage
//! earlier file   good | good | anything         fine, if the next file's name goes on: room, or a failed write's leftovers
//! ```

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::cursor::furthest;
use super::disk::Disk;
use super::error::{FileError, OpenError};
use super::frame::{HEADER_BYTES, Header, MAGIC, wide};
use super::segment::{Segment, Segments};
use super::writer::Active;

/// How much is read at once.
const READ_BYTES: usize = 256 << 10;

/// How often the log is told how far recovery is.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What recovery found.
#[derive(Debug)]
pub(super) struct Recovered {
    /// The files.
    pub(super) segments: Segments,
    /// The last of them, cut and ready to be written.
    pub(super) active: Active,
    /// The offset that the next record has.
    pub(super) next: u64,
    /// How many bytes of a torn tail were cut off.
    pub(super) torn_bytes: u64,
}

/// Reads every file of a log, cuts the torn tail, and makes what is left durable.
pub(super) fn recover(dir: &Path, disk: &dyn Disk) -> Result<Recovered, OpenError> {
    let bases = list(dir).map_err(FileError::at("list", dir)).map_err(OpenError::File)?;
    let mut held = VecDeque::new();
    let mut progress = Progress::new(dir, &bases);
    let (mut next, mut torn_bytes) = (0, 0);
    for (at, base) in bases.iter().enumerate() {
        let path = Segment::path(dir, *base);
        let scan = Scan::open(path, *base, bases.get(at + 1).copied())?;
        let (segment, torn) = scan.run(&mut progress)?;
        (next, torn_bytes) = (segment.1, torn);
        held.push_back(segment.0);
    }
    let active = if let Some(segment) = held.back() {
        let path = Segment::path(dir, segment.base);
        resume(&path, segment, disk).map_err(FileError::at("reopen", &path)).map_err(OpenError::File)?
    } else {
        // Offsets that a cursor has passed are not given out again: it would pass over their records.
        next = furthest(dir).map_err(FileError::at("list", dir)).map_err(OpenError::File)?;
        let path = Segment::path(dir, next);
        let medium = disk.create(&path).map_err(FileError::at("create", &path)).map_err(OpenError::File)?;
        held.push_back(Segment::empty(next));
        Active { medium, base: next, len: 0, room: 0 }
    };
    Ok(Recovered { segments: Segments::new(held), active, next, torn_bytes })
}

/// Makes the last file durable, and ready to be written.
///
/// Its last batch may never have reached the disk: its fsync may have failed, and after that the system may show it
/// to readers and yet never write it. So it is written once more, with the same bytes, before the fsync.
fn resume(path: &Path, segment: &Segment, disk: &dyn Disk) -> io::Result<Active> {
    let medium = disk.reopen(path, segment.len)?;
    let mut last = vec![0; usize::try_from(segment.len - segment.last).unwrap_or(usize::MAX)];
    File::open(path)?.read_exact_at(&mut last, segment.last)?;
    medium.write(&last, segment.last)?;
    medium.sync()?;
    Ok(Active { medium, base: segment.base, len: segment.len, room: segment.len })
}

/// How far recovery is, told once a second, so that a start that takes long does not look dead.
struct Progress {
    /// The size of all files.
    bytes: u64,
    /// How much of it is read.
    read: u64,
    /// How many records that were.
    records: u64,
    /// When the log was told last.
    told: Instant,
}

impl Progress {
    /// Nothing is read yet. A file whose size is not told counts for nothing: it will fail later and say why.
    fn new(dir: &Path, bases: &[u64]) -> Self {
        let sizes = bases.iter().filter_map(|base| Some(fs::metadata(Segment::path(dir, *base)).ok()?.len()));
        Self { bytes: sizes.sum(), read: 0, records: 0, told: Instant::now() }
    }

    /// A batch is read.
    fn step(&mut self, header: &Header) {
        self.read += header.batch_bytes();
        self.records += u64::from(header.count);
        if self.told.elapsed() >= TOLD_EVERY {
            self.told = Instant::now();
            let percent = self.read.saturating_mul(100) / self.bytes.max(1);
            tracing::info!(percent, records = self.records, bytes = self.read, of_bytes = self.bytes, "recovering a log");
        }
    }
}

/// Lists the first offsets of a directory's segments, in order.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir)? {
        bases.extend(Segment::parse(&entry?.path()));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// A walk over one file, batch by batch.
struct Scan {
    /// The file's name, for errors.
    path: PathBuf,
    /// The file.
    file: BufReader<File>,
    /// Its size.
    size: u64,
    /// Where nothing but zeros follow.
    written: u64,
    /// The first offset of the next file, if there is one: where this one must reach.
    until: Option<u64>,
    /// What was good so far.
    segment: Segment,
    /// The offset that comes next.
    next: u64,
}

/// What stands where a batch is expected.
enum Found {
    /// A whole batch.
    Batch(Header),
    /// The end of what was written.
    End,
    /// Something else; a header that reads tells how much of it there should be.
    Bad(Option<Header>),
}

impl Scan {
    /// Opens a file.
    fn open(path: PathBuf, base: u64, until: Option<u64>) -> Result<Self, OpenError> {
        let open = || -> io::Result<_> {
            let file = File::open(&path)?;
            let size = file.metadata()?.len();
            let written = written(&file, size)?;
            Ok((BufReader::with_capacity(READ_BYTES, file), size, written))
        };
        let (file, size, written) = open().map_err(FileError::at("open", &path)).map_err(OpenError::File)?;
        Ok(Self { path, file, size, written, until, segment: Segment::empty(base), next: base })
    }

    /// Walks to the end; answers the segment with the offset after it, and the size of a torn tail.
    fn run(mut self, progress: &mut Progress) -> Result<((Segment, u64), u64), OpenError> {
        let mut body = Vec::new();
        loop {
            if self.until == Some(self.next) {
                return Ok(((self.segment, self.next), 0));
            }
            match self.step(&mut body).map_err(|error| self.failed(error))? {
                Found::Batch(header) => {
                    progress.step(&header);
                    self.segment.grow(header.base, header.batch_bytes());
                    self.next = header.next();
                }
                Found::End if self.until.is_none() => return Ok(((self.segment, self.next), 0)),
                Found::End => return Err(self.damaged(None)),
                Found::Bad(header) => return self.judge(header),
            }
        }
    }

    /// Reads what stands behind the good batches.
    fn step(&mut self, body: &mut Vec<u8>) -> io::Result<Found> {
        // A batch may end in zeros, and is read as far as the file goes; none begins with them.
        if self.segment.len >= self.written {
            return Ok(Found::End);
        }
        let left = self.size - self.segment.len;
        if left < wide(HEADER_BYTES) {
            return Ok(Found::Bad(None));
        }
        let mut bytes = [0; HEADER_BYTES];
        self.file.read_exact(&mut bytes)?;
        let Some(header) = Header::decode(&bytes, self.segment.len) else { return Ok(Found::Bad(None)) };
        let misplaced = header.base != self.next || self.until.is_some_and(|until| header.next() > until);
        if misplaced || header.batch_bytes() > left {
            return Ok(Found::Bad(Some(header)));
        }
        body.clear();
        body.resize(usize::try_from(header.len).unwrap_or(usize::MAX), 0);
        self.file.read_exact(body)?;
        Ok(if header.covers(body) { Found::Batch(header) } else { Found::Bad(Some(header)) })
    }

    /// Tells a torn tail from damage.
    fn judge(self, header: Option<Header>) -> Result<((Segment, u64), u64), OpenError> {
        let goes_on = |header: Header| self.segment.len + header.batch_bytes() < self.written;
        let later = match header {
            // Batches between are missing, or this is another log's file.
            Some(header) if header.base != self.next => Some(header.base),
            // What stands behind a batch was written after that batch was acknowledged.
            Some(header) => goes_on(header).then(|| header.next()),
            None => {
                let later = find_header(self.file.get_ref(), self.size, (self.segment.len + 1, self.next));
                later.map_err(|error| self.failed(error))?.map(|(header, _)| header.base)
            }
        };
        if later.is_some() || self.until.is_some() {
            return Err(self.damaged(later));
        }
        let torn = self.written - self.segment.len;
        Ok(((self.segment, self.next), torn))
    }

    /// Damage behind the good batches, up to an offset that is known to be good again, or to the next file.
    fn damaged(&self, until: Option<u64>) -> OpenError {
        let until = until.or(self.until).unwrap_or(self.next);
        OpenError::Damaged { file: self.path.clone(), position: self.segment.len, records: until.saturating_sub(self.next).max(1) }
    }

    /// The file does not read at all.
    fn failed(&self, error: io::Error) -> OpenError {
        OpenError::File(FileError::at("read", &self.path)(error))
    }
}

/// Tells where nothing but zeros follow, in a file of that size.
pub(super) fn written(file: &File, size: u64) -> io::Result<u64> {
    let (mut end, mut chunk) = (size, vec![0; READ_BYTES]);
    while end > 0 {
        let len = usize::try_from(end).map_or(READ_BYTES, |end| end.min(READ_BYTES));
        let from = end - wide(len);
        let Some(read) = chunk.get_mut(..len) else { break };
        file.read_exact_at(read, from)?;
        if let Some(last) = read.iter().rposition(|byte| *byte != 0) {
            return Ok(from + wide(last) + 1);
        }
        end = from;
    }
    Ok(0)
}

/// Looks from a position on for the header of a batch that begins behind an offset; answers it with its position.
pub(super) fn find_header(file: &File, size: u64, (from, behind): (u64, u64)) -> io::Result<Option<(Header, u64)>> {
    let mut chunk = vec![0; READ_BYTES];
    let mut position = from;
    while position + wide(HEADER_BYTES) <= size {
        let len = usize::try_from(size - position).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        let Some(read) = chunk.get_mut(..len) else { break };
        file.read_exact_at(read, position)?;
        let mut places = read.windows(HEADER_BYTES).zip(position..).filter(|(bytes, _)| bytes.starts_with(&MAGIC));
        let found = places.find_map(|(bytes, at)| Some((Header::decode(bytes, at).filter(|header| header.base > behind)?, at)));
        if found.is_some() {
            return Ok(found);
        }
        position += wide(len - HEADER_BYTES + 1);
    }
    Ok(None)
}

#[cfg(test)]
#[path = "recovery_tests.rs"]
mod tests;
