//! A process that maps and touches huge pages as it is told, in the cgroup it was put into.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::cgroup::Cgroup;
use crate::harness::wait_for;

/// The signal of a refused touch.
pub const SIGBUS: i32 = 7;

/// A tenant; dropping it ends it and gives its pages back.
pub struct Tenant {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Tenant {
    /// A tenant of that cgroup, in it before it maps anything.
    pub fn new(cgroup: &Cgroup, mapping: &str) -> Self {
        Self::told(cgroup, mapping, &[])
    }

    /// A tenant that maps a file on hugetlbfs.
    pub fn with_file(cgroup: &Cgroup, file: &Path) -> Self {
        Self::told(cgroup, "file", &[format!("--file={}", file.display())])
    }

    /// A tenant with more flags of `touch-child`.
    pub fn told(cgroup: &Cgroup, mapping: &str, flags: &[String]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hugetlb-exporter"));
        let kind: &[&str] = match mapping {
            // As QEMU with reserve=off, and some allocators.
            "no-reserve" => &["--mapping=private", "--noreserve"],
            _ => &[&format!("--mapping={mapping}")],
        };
        command.arg("touch-child").args(kind).args(flags);
        let tenant = Self::start(command);
        cgroup.add(tenant.child.id());
        tenant
    }

    /// A tenant that some other command starts (a container runtime).
    pub fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a tenant");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("its answers"));
        Self { child, orders, answers }
    }

    /// Tells it something and returns what it answers; nothing if it died of it.
    pub fn tell(&mut self, order: &str) -> Option<String> {
        let orders = self.orders.as_mut().expect("it is told");
        writeln!(orders, "{order}").expect("told");
        orders.flush().expect("told");
        let mut answer = String::new();
        let read = self.answers.read_line(&mut answer).expect("an answer");
        (read > 0).then(|| answer.trim().to_owned())
    }

    /// Maps that many pages, which must succeed.
    #[track_caller]
    pub fn map(&mut self, pages: u64) {
        assert_eq!(self.tell(&format!("map {pages}")).as_deref(), Some("mapped"));
    }

    /// Touches the first so many pages, which must succeed.
    #[track_caller]
    pub fn touch(&mut self, pages: u64) {
        assert_eq!(self.tell(&format!("touch {pages}")), Some(format!("touched {pages}")));
    }

    /// Touches the first so many pages and dies of it.
    #[track_caller]
    pub fn touch_and_die(&mut self, pages: u64) {
        assert_eq!(self.tell(&format!("touch {pages}")), None, "it was to be refused a page");
        assert_eq!(self.child.wait().expect("its end").signal(), Some(SIGBUS));
    }

    /// Touches the first so many pages; if it dies of it, by SIGBUS.
    #[track_caller]
    pub fn survives_touching(&mut self, pages: u64) -> bool {
        match self.tell(&format!("touch {pages}")) {
            Some(answer) => {
                assert_eq!(answer, format!("touched {pages}"));
                true
            }
            None => {
                assert_eq!(self.child.wait().expect("its end").signal(), Some(SIGBUS));
                false
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it end by itself.
    pub fn stop(&mut self) {
        self.orders = None;
        wait_for("the tenant to end", || self.child.try_wait().expect("its status"));
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        // It may have died of a touch, or been stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
