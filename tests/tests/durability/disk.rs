//! A small file system of a test's own: in memory, or ext4 on a loop device whose power can be cut.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `FS_IOC_SHUTDOWN` with the flag that writes nothing back, not even the journal: what a power cut leaves.
const CUT: &str = "import fcntl, os, struct, sys\n\
fd = os.open(sys.argv[1], os.O_RDONLY)\n\
fcntl.ioctl(fd, 0x8004587D, struct.pack('I', 2))\n";

/// A mounted file system. Unmounted, and its image removed, when it is dropped.
pub(crate) struct Disk {
    dir: tempfile::TempDir,
    device: Option<String>,
    mounted: bool,
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output().map_err(|fault| format!("{program}: {fault}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

impl Disk {
    /// In memory, of so many MiB. `None`, with a line that says why, where this machine does not allow it.
    pub(crate) fn memory(mebibytes: u64) -> Option<Self> {
        let disk = Self { dir: tempfile::tempdir().unwrap(), device: None, mounted: false };
        let (size, place) = (format!("size={mebibytes}m,mode=700"), disk.mount_point());
        fs::create_dir(&place).unwrap();
        let mounted = run("mount", &["-t", "tmpfs", "-o", &size, "none", &text(&place)]);
        disk.ready(mounted.map(drop), "a small file system in memory")
    }

    /// ext4 on a loop device.
    pub(crate) fn ext4(mebibytes: u64) -> Option<Self> {
        let mut disk = Self { dir: tempfile::tempdir().unwrap(), device: None, mounted: false };
        let made = disk.make_ext4(mebibytes);
        disk.ready(made, "ext4 on a loop device")
    }

    fn make_ext4(&mut self, mebibytes: u64) -> Result<(), String> {
        let image = self.dir.path().join("image");
        fs::File::create(&image).and_then(|file| file.set_len(mebibytes << 20)).unwrap();
        run("mkfs.ext4", &["-q", "-F", &text(&image)])?;
        let device = run("losetup", &["--find", "--show", &text(&image)])?;
        self.device = Some(device.clone());
        let place = self.mount_point();
        fs::create_dir(&place).unwrap();
        run("mount", &["-t", "ext4", &device, &text(&place)]).map(drop)
    }

    fn ready(mut self, made: Result<(), String>, what: &str) -> Option<Self> {
        self.mounted = made.is_ok();
        match made {
            Ok(()) => Some(self),
            Err(why) => {
                eprintln!("SKIPPED: {what} is not allowed here ({why})");
                None
            }
        }
    }

    fn mount_point(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> PathBuf {
        self.mount_point()
    }

    /// Changes the size of one in memory.
    pub(crate) fn resize(&self, mebibytes: u64) {
        let size = format!("remount,size={mebibytes}m");
        run("mount", &["-o", &size, &text(&self.mount_point())]).unwrap();
    }

    /// Fills it to the last byte; gives the file to be removed.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.mount_point().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while std::io::Write::write_all(&mut file, &vec![7; size]).is_ok() {}
        }
        path
    }

    /// Cuts the power: what was not synced is gone. Nothing can be read or written until [`Disk::again`].
    pub(crate) fn cut(&self) {
        run("python3", &["-c", CUT, &text(&self.mount_point())]).unwrap();
    }

    /// The power comes back: mounted anew, its journal replayed.
    pub(crate) fn again(&mut self) {
        let (place, device) = (text(&self.mount_point()), self.device.clone().unwrap());
        run("umount", &[&place]).unwrap();
        self.mounted = false;
        run("mount", &["-t", "ext4", &device, &place]).unwrap();
        self.mounted = true;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let place = text(&self.mount_point());
        if self.mounted && run("umount", &[&place]).is_err() {
            let _ = run("umount", &["--lazy", &place]);
        }
        if let Some(device) = &self.device {
            let _ = run("losetup", &["--detach", device]);
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
