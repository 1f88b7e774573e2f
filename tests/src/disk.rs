//! A small disk that a test can fill, and a disk that is memory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Puts the temporary files of a command into memory if the machine has a folder for that with at
/// least 1 GiB of room. The conformance suite writes and syncs some hundred sites, for which tests of
/// its rules need not wait.
pub fn in_memory(command: &mut Command) {
    let folder = "/dev/shm";
    let room = rustix::fs::statvfs(folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    if room.is_ok_and(|bytes| bytes >= 1 << 30) {
        command.env("TMPDIR", folder);
    }
}

/// A mounted tmpfs; it is unmounted when dropped.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one of `size` (such as `1m`) at an empty folder. Returns `None` if mounting is not
    /// allowed, as for a user who is not root.
    pub fn small(at: &Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "sitewright-test"]).arg(at);
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then(|| Disk(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}
