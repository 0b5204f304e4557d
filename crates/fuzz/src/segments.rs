//! A log's files as anybody may have written them, with checksums that hold: damage that no checksum shows.
//!
//! ```text
//! n DIGIT                begins a file at the offset that comes next, and so many further
//! b 8 BYTES              begins a file at any offset
//! h COUNT AHEAD          a header that promises so many records, and whose offset is so many ahead
//! r SIZE BYTES…          a frame in the batch, of any bytes
//! l SIZE BYTES…          the same, with another length than it has
//! x SIZE BYTES…          bytes that are nothing
//! ```
//! Checksums are written as `crates/broker/src/log/frame.rs` tells, by this file's own code.

use std::fs;
use std::path::Path;

use broker::log::OpenError;

use crate::bytes::Bytes;
use crate::log::again;
use crate::shelf::{all, open, scratch, walk};

/// The most files of an input.
const FILES_MAX: usize = 5;

/// Files, written by a program.
///
/// # Panics
/// When a law is broken.
pub fn segments(input: &[u8]) {
    let dir = scratch();
    write(dir.path(), &mut Bytes(input));
    let walked = walk(dir.path());
    match open(dir.path()) {
        Ok(opened) => {
            let read = all(&opened);
            assert!(walked.whole, "a log opens in which a walk finds a hole");
            assert_eq!(read, walked.records, "a walk finds other records than the log");
            drop(opened);
            again(dir.path(), &read);
        }
        Err(OpenError::Damaged { .. }) => {
            assert!(matches!(open(dir.path()), Err(OpenError::Damaged { .. })), "damage is gone by itself");
        }
        Err(other) => unreachable!("law: a log's files can be read: {other}"),
    }
}

/// A file that is being written.
#[derive(Default)]
struct File {
    /// The offset of its first record.
    base: u64,
    /// Its bytes.
    bytes: Vec<u8>,
    /// A batch whose header is written when its body is known: its count, its offset, its body.
    batch: Option<(u32, u64, Vec<u8>)>,
    /// The offset that comes next.
    next: u64,
}

impl File {
    /// Begins a file.
    fn new(base: u64) -> Self {
        Self { base, next: base, ..Self::default() }
    }

    /// Says whether nothing was written into the first file.
    fn is_untouched(&self) -> bool {
        self.base == 0 && self.bytes.is_empty() && self.batch.is_none()
    }

    /// Ends the batch: header, checksum over it and its position, body.
    fn seal(&mut self) {
        let Some((count, base, body)) = self.batch.take() else { return };
        let mut header = b"EPL1".to_vec();
        header.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        header.extend(count.to_le_bytes());
        header.extend(base.to_le_bytes());
        let position = u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        let crc = crc32fast::hash(&[header.as_slice(), &position.to_le_bytes()].concat());
        header.extend(crc.to_le_bytes());
        self.bytes.extend(header);
        self.bytes.extend(body);
        self.next = base.saturating_add(u64::from(count));
    }

    /// Adds a frame to the batch, with a length that is so much more than it has.
    fn frame(&mut self, record: &[u8], more: u32) {
        let Some((_, _, body)) = &mut self.batch else { return };
        body.extend(u32::try_from(record.len()).unwrap_or(u32::MAX).wrapping_add(more).to_le_bytes());
        body.extend(crc32fast::hash(record).to_le_bytes());
        body.extend(record);
    }

    /// Writes the file.
    fn keep(mut self, dir: &Path) -> u64 {
        self.seal();
        fs::write(dir.join(format!("{:020}.log", self.base)), &self.bytes).expect("write a file");
        self.next
    }
}

/// Writes all files.
fn write(dir: &Path, program: &mut Bytes<'_>) {
    let (mut file, mut files) = (File::new(0), 1);
    while let Some(order) = program.next() {
        match order {
            b'n' | b'b' if files < FILES_MAX => {
                let ahead = if order == b'n' { u64::try_from(program.small() % 10).unwrap_or(0) } else { 0 };
                let any = if order == b'b' { program.take(8).try_into().ok().map(u64::from_le_bytes) } else { None };
                // What begins with a file has no other before it.
                let next = if file.is_untouched() { 0 } else { file.keep(dir) };
                file = File::new(any.unwrap_or(next.saturating_add(ahead)));
                files += 1;
            }
            b'h' => {
                file.seal();
                let (count, ahead) = (u32::try_from(program.small()).unwrap_or(0), u64::try_from(program.small()).unwrap_or(0));
                file.batch = Some((count, file.next.saturating_add(ahead), Vec::new()));
            }
            b'r' | b'l' => {
                let size = program.small();
                let more = if order == b'l' { u32::try_from(program.number()).unwrap_or(0) } else { 0 };
                file.frame(program.take(size), more);
            }
            b'x' => {
                file.seal();
                let size = program.small();
                file.bytes.extend(program.take(size));
            }
            _ => {}
        }
    }
    file.keep(dir);
}
