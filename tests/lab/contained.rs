//! PostgreSQL in a container of a real runtime's.

use std::fs;

use hugetlb_exporter::host::postgres;
use serde_json::{Value, json};

use crate::bundle::{Bundle, bind, tenants};
use crate::postgres::{Cluster, Server};
use crate::suite::Program;

/// Where and within what.
pub struct Place<'a> {
    /// Its container's id.
    pub id: &'a str,
    /// Below the cgroup root.
    pub cgroup: &'a str,
    /// What the runtime limits it to, in pages of 2 MiB, if it does.
    pub limit: Option<u64>,
}

/// A server and its container; it ends before its container is removed.
pub fn start<'a>(
    runtime: Program,
    place: &Place<'_>,
    cluster: &'a Cluster,
    settings: &[&str],
) -> (Server<'a>, Bundle) {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("rootfs");
    fs::create_dir(&root).expect("made");
    for path in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{path}"), root.join(path)).expect("linked");
    }
    let postgres = runtime.suite.installation().program("postgres").expect("PostgreSQL");
    let mut words = vec![postgres.display().to_string()];
    words.extend(cluster.inner().flags(settings));
    let config = tenants(&process(&words), &mounts(cluster), place.cgroup, place.limit);
    let bundle = Bundle::of(runtime, place.id, directory, &config);
    (Server::run_by(cluster, bundle.run()), bundle)
}

fn process(words: &[String]) -> Value {
    let (uid, gid) = postgres::user().expect("a user for PostgreSQL");
    json!({
        "terminal": false,
        "user": {"uid": uid.as_raw(), "gid": gid.as_raw()},
        "args": words,
        "env": ["PATH=/usr/bin", "LC_ALL=C"],
        "cwd": "/",
        "noNewPrivileges": true,
    })
}

fn mounts(cluster: &Cluster) -> Vec<Value> {
    let tmpfs = |path: &str| json!({"destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]});
    let data = cluster.inner().directory();
    let data =
        json!({"destination": data, "source": data, "type": "bind", "options": ["bind", "rw"]});
    let dev = json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]});
    let usr = bind("/usr", "/usr", false);
    // PostgreSQL asks what its user is called.
    let users = bind("/etc/passwd", "/etc/passwd", false);
    vec![dev, tmpfs("/dev/shm"), tmpfs("/tmp"), usr, users, data]
}
