//! Writes the reference of metrics: `events-proxy metrics` prints it from the tables that the instruments are made of.
//!
//! That it is not stale is a test of the crate `local`, so that the checks here need not build the product.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// Where the page is.
const PAGE: &str = "docs/reference/metrics.md";

/// Builds the product and writes its page.
pub(crate) fn write(root: &Path) -> anyhow::Result<()> {
    let cargo = ["build", "--quiet", "--workspace", "--bin", "events-proxy"];
    let built = Command::new("cargo").args(cargo).current_dir(root).status().context("run cargo")?;
    ensure!(built.success(), "events-proxy does not build");
    // This program and that one are built into the same directory.
    let product = std::env::current_exe().context("find this program")?.with_file_name("events-proxy");
    let told = Command::new(&product).arg("metrics").output().with_context(|| format!("run {}", product.display()))?;
    ensure!(told.status.success(), "events-proxy metrics: {}", String::from_utf8_lossy(&told.stderr));
    std::fs::write(root.join(PAGE), told.stdout).with_context(|| format!("write {PAGE}"))
}
