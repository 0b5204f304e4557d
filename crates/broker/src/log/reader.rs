//! Reading a log, beside the writer and in nobody's way.
//!
//! Each read opens the file of its offset anew, begins at the mark before the offset, and stops at the last durable
//! batch. Checksums are checked again: a disk can forget what it knew at the start.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use events_proxy_core::envelope::Record;

use super::frame::{self, FRAME_BYTES, HEADER_BYTES, Header, split_frame, wide};
use super::segment::{Place, Segment};
use crate::{Received, port::Cause};

/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// Why a read did not bring the record.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file does not read, or not as a log.
    File(io::Error),
    /// This one record does not read.
    Record(Cause),
}

/// Records do not read as they were written.
#[derive(Debug, thiserror::Error)]
enum Damage {
    /// A batch's header.
    #[error("the batch at byte {0} is damaged")]
    Batch(u64),
    /// A record's frame or contents.
    #[error("the record's checksum does not fit")]
    Record,
}

/// A file that is being read.
struct Reading {
    /// The file, at `position`.
    file: BufReader<File>,
    /// Where the next batch begins.
    position: u64,
    /// What was read.
    received: Vec<Received>,
    /// Its size.
    bytes: usize,
    /// The size at which to stop.
    max_bytes: usize,
}

/// Reads records of one file from an offset on; at least one, as it exists.
pub(super) fn read(dir: &Path, place: &Place, from: u64, max_bytes: usize) -> Result<Vec<Received>, Fault> {
    let mut file = File::open(Segment::path(dir, place.base)).map_err(Fault::File)?;
    file.seek(SeekFrom::Start(place.position)).map_err(Fault::File)?;
    let file = BufReader::with_capacity(READ_BYTES, file);
    let mut reading = Reading { file, position: place.position, received: Vec::new(), bytes: 0, max_bytes };
    while reading.position < place.len && reading.wants_more() {
        match reading.batch(from) {
            Ok(()) => {}
            // Whoever asks for the record at fault itself will be told.
            Err(_) if !reading.received.is_empty() => break,
            Err(fault) => return Err(fault),
        }
    }
    Ok(reading.received)
}

/// The bytes of one record as they stand, whatever its checksum says; none when its place cannot be found.
pub(super) fn raw(dir: &Path, place: &Place, offset: u64) -> Option<Vec<u8>> {
    let mut file = BufReader::with_capacity(READ_BYTES, File::open(Segment::path(dir, place.base)).ok()?);
    file.seek(SeekFrom::Start(place.position)).ok()?;
    let mut position = place.position;
    while position < place.len {
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact(&mut bytes).ok()?;
        let header = Header::decode(&bytes, position)?;
        position += header.batch_bytes();
        if header.next() <= offset {
            file.seek(SeekFrom::Start(position)).ok()?;
            continue;
        }
        let mut body = vec![0; usize::try_from(header.len).ok()?];
        file.read_exact(&mut body).ok()?;
        let mut rest = body.as_slice();
        for _ in header.base..offset {
            let (len, _, behind) = split_frame(rest)?;
            rest = behind.get(len..)?;
        }
        let (len, _, record) = split_frame(rest)?;
        return Some(record.get(..len).unwrap_or(record).to_vec());
    }
    None
}

impl Reading {
    /// Says whether another record belongs into this answer.
    const fn wants_more(&self) -> bool {
        self.received.is_empty() || self.bytes < self.max_bytes
    }

    /// Reads a batch, or passes over it when it lies before the offset.
    fn batch(&mut self, from: u64) -> Result<(), Fault> {
        let mut bytes = [0; HEADER_BYTES];
        self.file.read_exact(&mut bytes).map_err(Fault::File)?;
        let damaged = || Fault::File(io::Error::new(io::ErrorKind::InvalidData, Damage::Batch(self.position)));
        let header = Header::decode(&bytes, self.position).ok_or_else(damaged)?;
        self.position += header.batch_bytes();
        if header.next() <= from {
            return self.pass(u64::from(header.len));
        }
        let mut left = u64::from(header.len);
        for offset in header.base..header.next() {
            if !self.wants_more() {
                return Ok(());
            }
            let len = self.frame(offset >= from, &mut left)?;
            if let Some(record) = len {
                self.bytes += record.bytes();
                self.received.push(Received { offset, record });
            }
        }
        Ok(())
    }

    /// Reads the next record of a batch of which so many bytes are left, or passes over it.
    fn frame(&mut self, wanted: bool, left: &mut u64) -> Result<Option<Record>, Fault> {
        let mut head = [0; FRAME_BYTES];
        self.file.read_exact(&mut head).map_err(Fault::File)?;
        let (len, crc, _) = split_frame(&head).ok_or_else(|| Fault::Record(Damage::Record.into()))?;
        let size = wide(FRAME_BYTES + len);
        *left = left.checked_sub(size).ok_or_else(|| Fault::Record(Damage::Record.into()))?;
        if !wanted {
            return self.pass(wide(len)).map(|()| None);
        }
        let mut bytes = vec![0; len];
        self.file.read_exact(&mut bytes).map_err(Fault::File)?;
        if crc32fast::hash(&bytes) != crc {
            return Err(Fault::Record(Damage::Record.into()));
        }
        frame::decode(&bytes).map(Some).map_err(|error| Fault::Record(error.into()))
    }

    /// Passes over bytes.
    fn pass(&mut self, bytes: u64) -> Result<(), Fault> {
        let bytes = i64::try_from(bytes).expect("invariant: a batch's length has 32 bits");
        self.file.seek_relative(bytes).map_err(Fault::File)
    }
}
