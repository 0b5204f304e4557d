//! The few things that the log's writer asks of a file system, so that tests can make each of them fail.
//!
//! Whatever returns `Ok` here, [`Medium::cut`] aside, is on the disk: contents by fsync, names by an fsync of the directory.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// Makes files for the writer.
pub(super) trait Disk: Send + Debug {
    /// Makes an empty file under a name, in place of one that has it, and keeps the name.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>>;

    /// Opens a file, cuts it to a length, and keeps what is left.
    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn Medium>>;

    /// How many bytes the file system of a directory still has for us.
    fn free(&self, dir: &Path) -> io::Result<u64>;
}

/// A file that is being written.
pub(super) trait Medium: Send + Debug {
    /// Writes all bytes at a position.
    fn write(&self, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Keeps what was written.
    fn sync(&self) -> io::Result<()>;

    /// Gives back what lies behind a length; it need not be on the disk yet, for what it takes away is nothing.
    fn cut(&self, len: u64) -> io::Result<()>;
}

/// The file system of this machine.
#[derive(Debug)]
pub(super) struct Local;

impl Disk for Local {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        // Beside, and then in its place: a log whose only file is gone would begin anew, far behind its cursors.
        Ok(Box::new(replace(path, &path.with_file_name("segment-next"), &[])?))
    }

    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn Medium>> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), sync_dir)?;
        Ok(Box::new(file))
    }

    fn free(&self, dir: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

impl Medium for File {
    fn write(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.write_all_at(bytes, position)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }
}

/// Says whether a directory lies in memory alone (tmpfs), so that what is kept there ends with the machine.
#[cfg(target_os = "linux")]
pub(super) fn is_in_memory(dir: &Path) -> bool {
    /// `TMPFS_MAGIC` of linux/magic.h.
    const TMPFS: u32 = 0x0102_1994;
    rustix::fs::statfs(dir).is_ok_and(|found| u32::try_from(found.f_type) == Ok(TMPFS))
}

/// Other systems do not say.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_in_memory(_dir: &Path) -> bool {
    false
}

/// Makes a file anew that nobody but our user may read, whatever the umask: it holds other people's events.
fn anew(path: &Path) -> io::Result<File> {
    remove(path)?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Puts a file in the place of one that may be there, whole: it is made beside, under another name, and kept. A crash leaves the one or the
/// other.
pub(super) fn replace(path: &Path, beside: &Path, contents: &[u8]) -> io::Result<File> {
    let mut file = anew(beside)?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    path.parent().map_or(Ok(()), sync_dir)?;
    Ok(file)
}

/// Makes a directory and what is missing above it, for nobody but our user. One that is there stays as whoever made it wants it.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Keeps the names in a directory.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        answer => answer,
    }
}
