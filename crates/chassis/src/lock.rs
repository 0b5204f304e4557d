//! Files that one process at a time holds.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Opens a file, which is made where there is none, and holds it for as long as it is open; `None` when another process does.
///
/// # Errors
/// The file cannot be opened, made or locked.
pub fn take(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::take;

    #[test]
    fn one_at_a_time_holds_it_and_what_it_holds_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("one");
        let first = take(&path).unwrap();
        assert!(first.is_some() && take(&path).unwrap().is_none());
        drop(first);
        std::fs::write(&path, "kept").unwrap();
        assert!(take(&path).unwrap().is_some());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
        assert!(take(&directory.path().join("nowhere/one")).is_err());
    }
}
