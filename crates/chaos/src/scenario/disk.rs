//! The spool's file system fills up: a small tmpfs, in which somebody else writes until nothing is left.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::field::Field;

/// The size of the file system.
const SIZE: &str = "size=24m";
/// How much is left free in runs that keep a reserve.
const RESERVE: u64 = 8 << 20;

/// A mounted tmpfs; unmounted when it is dropped.
#[derive(Debug)]
pub(crate) struct Small(PathBuf);

impl Small {
    /// Mounts one.
    pub(crate) fn mount(at: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(at).context("make a place for a small file system")?;
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "chaos"]).arg(at).status().context("mount a tmpfs")?;
        ensure!(status.success(), "a small file system cannot be mounted: that needs root");
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a process that is just being killed may still hold a file.
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

/// Where the small file system is, in a run's directory.
pub(crate) fn place(dir: &Path) -> PathBuf {
    dir.join("small")
}

/// The settings: every other run keeps no reserve, so that writes fail for want of space.
pub(super) fn settings(seed: u64, dir: &Path) -> Vec<(&'static str, String)> {
    let reserve = if seed.is_multiple_of(2) { 0 } else { RESERVE };
    vec![
        ("SPOOL_DIR", place(dir).join("spool").display().to_string()),
        ("SPOOL_SEGMENT_BYTES", "1048576".to_owned()),
        ("SPOOL_FREE_BYTES_MIN", reserve.to_string()),
    ]
}

/// Fills the file system up, and frees it again.
pub(super) async fn full(field: &Field<'_>, lasts: Duration) -> anyhow::Result<()> {
    let ballast = place(&field.dir).join("ballast");
    let mut file = File::create(&ballast).context("fill the disk")?;
    let block = vec![0_u8; 64 << 10];
    while file.write_all(&block).is_ok() {}
    // The last bytes too.
    while file.write_all(&[0; 512]).is_ok() {}
    tokio::time::sleep(lasts).await;
    let direct = field.figure("spool_failures_total").await.unwrap_or_default();
    fs::remove_file(&ballast).context("free the disk")?;
    ensure!(direct > 0.0, "the disk was full and the spool did not notice");
    Ok(())
}
