//! Containers of a real runtime's: one with a tenant in it, and one like the DaemonSet's with the exporter in it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::Lab;
use crate::harness::agent::{self, Agent};
use crate::machine::Phase;
use crate::suite::Program;
use crate::tenant::Tenant;

/// A bundle's directory and its runtime; dropping it deletes what is left of the container.
pub struct Bundle {
    runtime: Program,
    id: String,
    directory: tempfile::TempDir,
}

impl Bundle {
    fn new(
        runtime: Program,
        id: &str,
        program: &Path,
        config: impl FnOnce(&Path) -> Value,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("rootfs");
        for path in ["usr", "proc", "dev", "sys", "host/sys/fs/cgroup", "host/logs"] {
            fs::create_dir_all(root.join(path)).expect("made");
        }
        for path in ["lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{path}"), root.join(path)).expect("linked");
        }
        // Under a directory that only its owner may enter another user could not execute it.
        fs::copy(program, directory.path().join("exporter")).expect("a copy");
        fs::write(root.join("exporter"), "").expect("a mount point");
        let config = config(&directory.path().join("exporter"));
        Self::of(runtime, id, directory, &config)
    }

    /// One of that directory, which has the files that the configuration names.
    pub fn of(
        runtime: impl Into<Program>,
        id: &str,
        directory: tempfile::TempDir,
        config: &Value,
    ) -> Self {
        fs::write(directory.path().join("config.json"), config.to_string()).expect("written");
        Self { runtime: runtime.into(), id: id.to_owned(), directory }
    }

    /// One with a tenant in it, at that path below the cgroup root, limited to so many pages of 2 MiB, if it is.
    pub fn tenant(
        runtime: impl Into<Program>,
        id: &str,
        cgroup: &str,
        limit: impl Into<Option<u64>>,
    ) -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_hugetlb-exporter"));
        let limit = limit.into();
        Self::new(runtime.into(), id, program, |program| config(program, cgroup, limit))
    }

    /// Creates it, without starting its process.
    pub fn create(&self) -> Command {
        let mut command = runtime_command(self.runtime, self.directory.path());
        command.args(["create", "--bundle"]).arg(self.directory.path()).arg(&self.id);
        command
    }

    /// Updates its resources, as the kubelet has it done.
    pub fn update(&self) -> Command {
        let mut command = runtime_command(self.runtime, self.directory.path());
        command.arg("update");
        command
    }

    /// Asks for its state, which takes the runtime as long as to start it.
    pub fn state(&self) -> Command {
        let mut command = runtime_command(self.runtime, self.directory.path());
        command.args(["state", &self.id]);
        command
    }

    /// Its id, which is the last argument.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Runs it.
    pub fn run(&self) -> Command {
        let mut command = runtime_command(self.runtime, self.directory.path());
        command.args(["run", "--bundle"]).arg(self.directory.path()).arg(&self.id);
        command
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if !self.directory.path().join("state").join(&self.id).exists() {
            return;
        }
        let mut command = runtime_command(self.runtime, self.directory.path());
        let status = command.args(["delete", "--force", &self.id]).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("{} could not delete {}", self.runtime.name, self.id);
        }
    }
}

/// A running container; dropping it deletes it.
pub struct Container {
    /// What runs in it.
    pub tenant: Tenant,
    bundle: Bundle,
}

impl Container {
    /// Starts one at that path below the cgroup root, limited to so many pages of 2 MiB, if it is.
    pub fn start(
        runtime: impl Into<Program>,
        id: &str,
        cgroup: &str,
        limit: impl Into<Option<u64>>,
    ) -> Self {
        let bundle = Bundle::tenant(runtime, id, cgroup, limit);
        Self { tenant: Tenant::start(bundle.run()), bundle }
    }

    /// Updates its resources with these flags, as the kubelet has it done.
    pub fn update(&self, flags: &[&str]) -> Command {
        let mut command = self.bundle.update();
        command.args(flags).arg(self.bundle.id());
        command
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Told to end, a container ends its runtime, which deletes it.
        self.tenant.stop();
    }
}

/// A container with the exporter in it, as the DaemonSet makes it: a numeric user, no capabilities, a read-only root,
/// on v2 a cgroup namespace of its own.
pub struct Exporter {
    /// What runs in it.
    pub agent: Agent,
    _bundle: Bundle,
}

/// What is special about an exporter's container.
#[derive(Debug, Clone, Copy, Default)]
pub struct Special {
    /// Whether the runtime limits the container too, to no huge pages.
    pub limited: bool,
    /// Whether the host's cgroups are mounted.
    pub sees_host: bool,
    /// Whether the filter of system calls forbids to map huge pages, too.
    pub filtered: bool,
}

impl Exporter {
    /// Runs a bundle whose process is the exporter.
    pub fn of(bundle: Bundle) -> Self {
        Self { agent: Agent::started_by(bundle.run()), _bundle: bundle }
    }

    /// Starts one at that path below the cgroup root.
    pub fn start(
        lab: &Lab,
        runtime: &'static str,
        id: &str,
        cgroup: &str,
        special: Special,
    ) -> Self {
        let bundle = Bundle::new(runtime.into(), id, &agent::program(), |program| {
            exporter_config(lab, program, cgroup, special)
        });
        Self::of(bundle)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // The runtime passes it on, and deletes the container when its process has ended.
        self.agent.terminate();
    }
}

fn runtime_command(runtime: Program, directory: &Path) -> Command {
    let mut command = runtime.command();
    command.arg("--root").arg(directory.join("state"));
    command
}

pub fn bind(from: impl AsRef<Path>, to: &str, recursive: bool) -> Value {
    let bind = if recursive { "rbind" } else { "bind" };
    json!({"destination": to, "source": from.as_ref(), "type": "bind", "options": [bind, "ro"]})
}

fn config(program: &Path, cgroup: &str, limit: Option<u64>) -> Value {
    let process = json!({
        "terminal": false,
        "user": {"uid": 0, "gid": 0},
        "args": ["/exporter", "touch-child", "--mapping=shared"],
        "env": ["PATH=/usr/bin"],
        "cwd": "/",
        "noNewPrivileges": true,
    });
    let mounts = [bind("/usr", "/usr", false), bind(program, "/exporter", false)];
    tenants(&process, &mounts, cgroup, limit)
}

/// The configuration of a tenant's container, on a read-only root.
pub fn tenants(process: &Value, mounts: &[Value], cgroup: &str, limit: Option<u64>) -> Value {
    let proc = json!({"destination": "/proc", "type": "proc", "source": "proc"});
    let mounts: Vec<&Value> = [&proc].into_iter().chain(mounts).collect();
    let limits = limit.map(|pages| json!({"pageSize": "2MB", "limit": pages << 21}));
    json!({
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "lab",
        "mounts": mounts,
        "linux": {
            "cgroupsPath": format!("/{cgroup}"),
            "resources": {"hugepageLimits": limits.into_iter().collect::<Vec<_>>()},
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
        },
    })
}

/// A pod's namespaces; the network is the host's, so that the agent can be scraped.
pub fn namespaces(lab: &Lab) -> Vec<Value> {
    let mut kinds = vec!["pid", "mount", "ipc", "uts"];
    if lab.phase == Phase::V2 {
        kinds.push("cgroup");
    }
    kinds.iter().map(|kind| json!({"type": kind})).collect()
}

/// What the runtimes' default profile refuses of what one might have used, and perhaps to map huge pages too.
pub fn filter(huge_pages: bool) -> Value {
    let refuse = |names: &[&str], errno: u32| json!({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno});
    let mut rules = vec![
        refuse(
            &[
                "add_key",
                "bpf",
                "fanotify_init",
                "get_mempolicy",
                "keyctl",
                "mbind",
                "mount",
                "name_to_handle_at",
                "open_by_handle_at",
                "perf_event_open",
                "set_mempolicy",
                "setns",
                "umount2",
                "unshare",
                "userfaultfd",
            ],
            1,
        ),
        // The C library then falls back.
        refuse(&["clone3"], 38),
    ];
    if huge_pages {
        // MAP_HUGETLB in the flags.
        let flag =
            json!({"index": 3, "value": 0x40000, "valueTwo": 0x40000, "op": "SCMP_CMP_MASKED_EQ"});
        rules.push(
            json!({"names": ["mmap"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [flag]}),
        );
    }
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules,
    })
}

fn exporter_config(lab: &Lab, program: &Path, cgroup: &str, special: Special) -> Value {
    let mut arguments: Vec<String> =
        ["/exporter", "--web.listen-address=127.0.0.1:0", "--poll.interval=100ms"]
            .map(str::to_owned)
            .to_vec();
    arguments.push("--probe.interval=200ms".to_owned());
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}),
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "ro"]}),
        bind("/usr", "/usr", false),
        bind(program, "/exporter", false),
    ];
    if special.sees_host {
        mounts.push(bind("/sys/fs/cgroup", "/host/sys/fs/cgroup", true));
        arguments.push("--path.cgroupfs=/host/sys/fs/cgroup".to_owned());
    }
    let limit = |size: &str| json!({"pageSize": size, "limit": 0});
    let limits = if special.limited { vec![limit("2MB"), limit("1GB")] } else { Vec::new() };
    let mut linux = json!({
        "cgroupsPath": format!("/{cgroup}"),
        "resources": {"hugepageLimits": limits},
        "namespaces": namespaces(lab),
    });
    linux["seccomp"] = filter(special.filtered);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 10270, "gid": 10270},
            "args": arguments,
            "env": ["KUBERNETES_SERVICE_HOST=10.96.0.1"],
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "lab",
        "mounts": mounts,
        "linux": linux,
    })
}
