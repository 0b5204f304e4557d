//! Who this data directory is among the owners of partitions: an id that outlives the process, and that one process at a time has.
//!
//! After a crash the next process on the directory is the same member, so it takes its partitions over at once; the lock sees
//! to it that the former one is gone.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Context;
use chassis::lock;
use storage::Member;

/// The member of a data directory, for as long as this lives.
#[derive(Debug)]
pub struct Seat {
    /// Who it is.
    pub member: Member,
    /// Held open for its lock.
    _lock: File,
}

impl Seat {
    /// Takes the directory's seat; makes it an id the first time.
    ///
    /// # Errors
    /// Another process has it, or the file cannot be used.
    pub fn take(data: &Path) -> anyhow::Result<Self> {
        let path = data.join("member");
        let open = || format!("use {}", path.display());
        let Some(mut file) = lock::take(&path).with_context(open)? else {
            anyhow::bail!("another process works on the data directory {}", data.display());
        };
        let mut id = String::new();
        file.read_to_string(&mut id).with_context(open)?;
        if id.is_empty() {
            id = format!("local/{}", chassis::replica::name(None));
            file.write_all(id.as_bytes()).and_then(|()| file.sync_all()).with_context(open)?;
        }
        Ok(Self { member: Member { id, pod: "events-proxy".to_owned() }, _lock: file })
    }
}

#[cfg(test)]
mod tests {
    use super::Seat;

    #[test]
    fn a_directory_has_one_member_at_a_time_and_the_same_one_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let first = Seat::take(directory.path()).unwrap();
        assert!(Seat::take(directory.path()).unwrap_err().to_string().contains("another process"));
        let member = first.member.clone();
        drop(first);
        assert_eq!(Seat::take(directory.path()).unwrap().member, member);
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(Seat::take(elsewhere.path()).unwrap().member, member);
    }
}
