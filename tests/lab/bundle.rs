//! A container of a real runtime's, with a tenant in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::tenant::Tenant;

/// A running container; dropping it deletes it.
pub struct Container {
    runtime: &'static str,
    id: String,
    directory: tempfile::TempDir,
    /// What runs in it.
    pub tenant: Tenant,
}

impl Container {
    /// Starts one at that path below the cgroup root, limited to so many pages of 2 MiB.
    pub fn start(runtime: &'static str, id: &str, cgroup: &str, limit: u64) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("rootfs");
        for path in ["usr", "proc", "dev"] {
            fs::create_dir_all(root.join(path)).expect("made");
        }
        for path in ["lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{path}"), root.join(path)).expect("linked");
        }
        fs::write(root.join("exporter"), "").expect("a mount point");
        let config = config(cgroup, limit);
        fs::write(directory.path().join("config.json"), config.to_string()).expect("written");
        let mut command = runtime_command(runtime, directory.path());
        command.args(["run", "--bundle"]).arg(directory.path()).arg(id);
        let tenant = Tenant::start(command);
        Self { runtime, id: id.to_owned(), directory, tenant }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Told to end, a container ends its runtime, which deletes it.
        self.tenant.stop();
        if !self.directory.path().join("state").join(&self.id).exists() {
            return;
        }
        let mut command = runtime_command(self.runtime, self.directory.path());
        let status = command.args(["delete", "--force", &self.id]).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("{} could not delete {}", self.runtime, self.id);
        }
    }
}

fn runtime_command(runtime: &str, directory: &Path) -> Command {
    let mut command = Command::new(runtime);
    command.arg("--root").arg(directory.join("state"));
    command
}

fn config(cgroup: &str, limit: u64) -> serde_json::Value {
    let bind = |from: &str, to: &str| json!({"destination": to, "source": from, "type": "bind", "options": ["bind", "ro"]});
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["/exporter", "touch-child", "--mapping=shared"],
            "env": ["PATH=/usr/bin"],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "lab",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            bind("/usr", "/usr"),
            bind(env!("CARGO_BIN_EXE_hugetlb-exporter"), "/exporter"),
        ],
        "linux": {
            "cgroupsPath": format!("/{cgroup}"),
            "resources": {"hugepageLimits": [{"pageSize": "2MB", "limit": limit << 21}]},
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
        },
    })
}
