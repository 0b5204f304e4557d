//! Which files a log consists of, and where in them an offset is found.
//!
//! A segment is a file named by the offset of its first record. It ends where the next one begins: whatever lies
//! behind that in its file is room that was made ahead, or what a failed write left there, and is never read.
//! The index is sparse, at most one mark for each [`MARK_BYTES`], so that a backlog of any size needs little memory.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::Bounds;

/// The least distance of two marks.
const MARK_BYTES: u64 = 64 << 10;

/// No file begins behind it, for who reads a topic keeps offsets in 63 bits: a name beyond it is none that we wrote, and there would
/// be no room for another record.
const BASE_MAX: u64 = 1 << 62;

/// Where a batch begins.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// The offset of its first record.
    offset: u64,
    /// Its position in the file.
    position: u64,
}

/// One file.
#[derive(Debug)]
pub(super) struct Segment {
    /// The offset of its first record, which is its name.
    pub(super) base: u64,
    /// How many of its bytes are durable batches.
    pub(super) len: u64,
    /// Where the last of them begins.
    pub(super) last: u64,
    /// Where some of its batches begin, in order; the first always.
    marks: Vec<Mark>,
}

impl Segment {
    /// A file without records.
    pub(super) const fn empty(base: u64) -> Self {
        Self { base, len: 0, last: 0, marks: Vec::new() }
    }

    /// Adds a durable batch.
    pub(super) fn grow(&mut self, offset: u64, bytes: u64) {
        if self.marks.last().is_none_or(|mark| mark.position + MARK_BYTES <= self.len) {
            self.marks.push(Mark { offset, position: self.len });
        }
        self.last = self.len;
        self.len += bytes;
    }

    /// The file of the segment with that first offset.
    pub(super) fn path(dir: &Path, base: u64) -> PathBuf {
        dir.join(format!("{base:020}.log"))
    }

    /// The first offset of the segment in that file, or nothing when it is no segment.
    pub(super) fn parse(path: &Path) -> Option<u64> {
        let digits = path.file_name()?.to_str()?.strip_suffix(".log")?;
        let ours = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|base| ours && *base <= BASE_MAX)
    }
}

/// Where to begin to read.
#[derive(Debug)]
pub(super) struct Place {
    /// The first offset of the segment.
    pub(super) base: u64,
    /// The beginning of a batch at or before the offset looked for.
    pub(super) position: u64,
    /// The end of the durable batches.
    pub(super) len: u64,
}

/// The files of a log, oldest first; the last is the one that is written.
#[derive(Debug)]
pub(super) struct Segments {
    /// The files.
    held: VecDeque<Segment>,
    /// The first offset that may be read: files before it wait to be removed.
    earliest: u64,
    /// The size of all durable batches, in bytes.
    bytes: u64,
}

impl Segments {
    /// Takes the files that recovery found, oldest first.
    pub(super) fn new(held: VecDeque<Segment>) -> Self {
        let bytes = held.iter().map(|segment| segment.len).sum();
        Self { earliest: held.front().map_or(0, |segment| segment.base), bytes, held }
    }

    /// The offsets that may be read, given the end.
    pub(super) const fn bounds(&self, end: u64) -> Bounds {
        Bounds { earliest: self.earliest, end }
    }

    /// The size of all durable batches, in bytes.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Goes on in a new file; one that has its name held nothing durable and is gone.
    pub(super) fn begin(&mut self, base: u64) {
        self.held.pop_back_if(|segment| segment.base == base);
        self.held.push_back(Segment::empty(base));
    }

    /// Adds a durable batch to the last file.
    pub(super) fn grow(&mut self, offset: u64, bytes: u64) {
        let last = self.held.back_mut().expect("invariant: the writer begins a segment before it writes a batch");
        last.grow(offset, bytes);
        self.bytes += bytes;
    }

    /// Finds where to begin to read for an offset that exists.
    pub(super) fn place(&self, offset: u64) -> Option<Place> {
        let after = self.held.partition_point(|segment| segment.base <= offset);
        let segment = self.held.get(after.checked_sub(1)?)?;
        let after = segment.marks.partition_point(|mark| mark.offset <= offset);
        let mark = segment.marks.get(after.checked_sub(1)?)?;
        Some(Place { base: segment.base, position: mark.position, len: segment.len })
    }

    /// Takes whole files that lie before an offset out of reading; names them, oldest first.
    pub(super) fn retire(&mut self, before: u64) -> Vec<u64> {
        let kept = self.held.iter().skip(1).take_while(|next| next.base <= before).count();
        self.earliest = self.held.get(kept).map_or(self.earliest, |segment| segment.base.max(self.earliest));
        self.held.iter().take(kept).map(|segment| segment.base).collect()
    }

    /// Forgets the oldest file, whose first offset is given, once it is removed.
    pub(super) fn forget(&mut self, base: u64) {
        if let Some(segment) = self.held.pop_front_if(|segment| segment.base == base) {
            self.bytes -= segment.len;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Segment, Segments};

    #[test]
    fn an_offset_is_looked_for_from_the_mark_before_it() {
        let mut segments = Segments::new([Segment::empty(0)].into());
        for batch in 0..100 {
            segments.grow(batch * 10, 5_000);
        }
        segments.begin(1_000);
        segments.grow(1_000, 5_000);
        let place = segments.place(305).unwrap();
        assert_eq!((place.base, place.position, place.len), (0, 140_000, 500_000));
        let place = segments.place(1_003).unwrap();
        assert_eq!((place.base, place.position), (1_000, 0));
    }

    #[test]
    fn the_index_does_not_grow_with_small_batches() {
        let mut segment = Segment::empty(0);
        for offset in 0..100_000 {
            segment.grow(offset, 100);
        }
        assert!(segment.marks.len() <= 154, "{} marks for 10 MB", segment.marks.len());
    }

    #[test]
    fn a_file_is_known_by_a_name_that_we_could_have_written() {
        let named = |name: &str| Segment::parse(Path::new(name));
        assert_eq!(named("logs/00000000000000000042.log"), Some(42));
        assert_eq!(named("04611686018427387904.log"), Some(1 << 62));
        for name in
            ["42.log", "+0000000000000000042.log", "00000000000000000042.cursor", "04611686018427387905.log", "18446744073709551615.log"]
        {
            assert_eq!(named(name), None, "{name}");
        }
    }

    #[test]
    fn the_file_that_is_written_is_never_retired() {
        let mut segments = Segments::new([Segment::empty(0), Segment::empty(10), Segment::empty(20)].into());
        assert_eq!(segments.retire(19), [0]);
        assert_eq!(segments.bounds(30).earliest, 10);
        assert_eq!(segments.retire(30), [0, 10]);
        segments.forget(0);
        segments.forget(10);
        assert!(segments.retire(u64::MAX).is_empty());
        assert_eq!(segments.bounds(30).earliest, 20);
    }
}
