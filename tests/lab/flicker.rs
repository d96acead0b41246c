//! A process that takes a huge page and gives it back, again and again, as fast as it can: this program, started anew.

use std::io::Write;
use std::process::{Child, Command, ExitCode, Stdio};

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use crate::cgroup::Cgroup;

/// Set for the process that does it.
const MARK: &str = "HUGETLB_LAB_FLICKER";
const PAGE: i64 = 2 << 20;

/// While this is there it goes on.
pub struct Flicker(Child);

impl Flicker {
    /// In that cgroup.
    pub fn in_cgroup(cgroup: &Cgroup) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut command = Command::new(program);
        command.env(MARK, "1").stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().expect("this program, started anew");
        cgroup.add(child.id());
        let mut start = child.stdin.take().expect("told when to begin");
        start.write_all(b"\n").expect("told to begin");
        Self(child)
    }
}

impl Drop for Flicker {
    fn drop(&mut self) {
        self.0.kill().expect("ended");
        self.0.wait().expect("its end");
    }
}

/// Whether this process is the one to do it.
pub fn is_wanted() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Does it until it is killed.
pub fn run() -> ExitCode {
    set_pdeathsig(Signal::SIGKILL).expect("to end with the lab");
    std::io::stdin().read_line(&mut String::new()).expect("told to begin");
    let pages = memfd_create("flicker", MFdFlags::MFD_HUGETLB).expect("a file of huge pages");
    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    loop {
        // A limit may refuse it.
        let _ = fallocate(&pages, FallocateFlags::empty(), 0, PAGE);
        let _ = fallocate(&pages, hole, 0, PAGE);
    }
}
