//! The image, built for real, and run as manifests/install.yaml would have it run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Lab;
use crate::bundle::{Bundle, Exporter, filter, namespaces};
use crate::harness::agent;
use crate::kubepods::Kubepods;

/// An image in a store of its own; dropping it removes both.
pub struct Image {
    store: tempfile::TempDir,
    root: PathBuf,
    config: Value,
}

impl Image {
    /// Builds the Dockerfile's last stage with the binary that the lab tries, in place of what its first would build.
    pub fn build() -> Self {
        let store = tempfile::tempdir().expect("a directory");
        let context = store.path().join("context/out");
        fs::create_dir_all(&context).expect("made");
        fs::copy(agent::program(), context.join("hugetlb-exporter")).expect("the binary");
        let image = Self { store, root: PathBuf::new(), config: Value::Null };
        let context = format!("build={}", image.store.path().join("context").display());
        let project = env!("CARGO_MANIFEST_DIR");
        image.buildah(&[
            "bud",
            "--isolation",
            "chroot",
            "--build-context",
            &context,
            "-t",
            "lab",
            project,
        ]);
        let inspected = image.buildah(&["inspect", "--type", "image", "lab"]);
        let inspected: Value = serde_json::from_str(&inspected).expect("JSON");
        let container = image.buildah(&["from", "lab"]);
        let root = image.buildah(&["mount", container.trim()]);
        let config = inspected["OCIv1"]["config"].clone();
        Self { root: root.trim().into(), config, ..image }
    }

    /// The size of all its files.
    pub fn bytes(&self) -> u64 {
        let files =
            fs::read_dir(&self.root).expect("its files").map(|entry| entry.expect("a file"));
        files.map(|file| file.metadata().expect("its size").len()).sum()
    }

    /// Runs it with the security, mounts and flags of the shipped DaemonSet's pod.
    pub fn run(&self, lab: &Lab, runtime: &'static str, id: &str, place: &Place<'_>) -> Exporter {
        let config = config(lab, &self.config, &shipped_pod(), place);
        Exporter::of(self.bundle(runtime, id, config))
    }

    /// The same container with these arguments instead, as somebody who has the image alone would run it: with nothing of
    /// the node's, and the /dev/shm that every container has.
    pub fn command(
        &self,
        lab: &Lab,
        (runtime, id): (&'static str, &str),
        place: &Place<'_>,
        arguments: &[&str],
    ) -> Output {
        let mut config = config(lab, &self.config, &shipped_pod(), place);
        let mut words = strings(&self.config["Entrypoint"]);
        words.extend(arguments.iter().map(|word| (*word).to_owned()));
        config["process"]["args"] = json!(words);
        let mounts = config["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| mount["type"] != "bind");
        mounts.push(json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777"]}));
        self.bundle(runtime, id, config).run().output().expect("it runs")
    }

    fn bundle(&self, runtime: &'static str, id: &str, mut config: Value) -> Bundle {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().join("rootfs");
        fs::create_dir(&root).expect("made");
        fs::copy(self.root.join("hugetlb-exporter"), root.join("hugetlb-exporter"))
            .expect("copied");
        if !is_static(&agent::program()) {
            // A build that is tried by hand; what is shipped needs nothing.
            for path in ["lib", "lib64"] {
                std::os::unix::fs::symlink(format!("usr/{path}"), root.join(path)).expect("linked");
            }
            let mounts = config["mounts"].as_array_mut().expect("mounts");
            mounts.push(json!({"destination": "/usr", "source": "/usr", "type": "bind", "options": ["bind", "ro"]}));
        }
        Bundle::of(runtime, id, directory, &config)
    }

    /// The variables of its containers.
    pub fn environment(&self) -> Vec<String> {
        strings(&self.config["Env"])
    }

    #[track_caller]
    fn buildah(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "vfs"]);
        for (flag, directory) in [("--root", "store"), ("--runroot", "run")] {
            command.arg(flag).arg(self.store.path().join(directory));
        }
        let output = command.args(arguments).output().expect("buildah runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "buildah {arguments:?}: {complaint}");
        String::from_utf8(output.stdout).expect("text")
    }
}

/// Where a pod runs, and what the node has there.
pub struct Place<'a> {
    /// Below the cgroup root.
    pub cgroup: &'a str,
    /// Whose log directories stand for the node's.
    pub kubepods: &'a Kubepods<'a>,
}

/// Whether a program names no loader.
fn is_static(program: &Path) -> bool {
    let bytes = fs::read(program).expect("the binary");
    let loader = b"/ld-linux";
    !bytes.windows(loader.len()).any(|window| window == loader)
}

/// The pod of the DaemonSet in manifests/install.yaml.
fn shipped_pod() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/install.yaml");
    let text = fs::read_to_string(path).expect("install.yaml");
    let documents = serde_norway::Deserializer::from_str(&text);
    documents
        .map(|document| Value::deserialize(document).expect("YAML"))
        .find(|object| object["kind"] == "DaemonSet")
        .expect("a DaemonSet")["spec"]["template"]["spec"]
        .clone()
}

/// What a runtime is told of the pod's one container, as the kubelet tells it.
fn config(lab: &Lab, image: &Value, pod: &Value, place: &Place<'_>) -> Value {
    let container = &pod["containers"][0];
    let [of_pod, own] = [&pod["securityContext"], &container["securityContext"]];
    assert_eq!(own["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(of_pod["seccompProfile"]["type"], "RuntimeDefault");
    let mut arguments = strings(&image["Entrypoint"]);
    // A port of the system's choice, since the network is the lab's.
    let port = |flag: String| flag.replace("=:10270", "=127.0.0.1:0");
    arguments.extend(strings(&container["args"]).into_iter().map(port));
    let mut environment = strings(&image["Env"]);
    environment.push("KUBERNETES_SERVICE_HOST=10.96.0.1".to_owned());
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().expect("text");
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("spec.nodeName") => "lab-node",
            other => variable["value"].as_str().unwrap_or_else(|| panic!("{name}: {other:?}")),
        };
        environment.push(format!("{name}={value}"));
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": of_pod["runAsUser"], "gid": of_pod["runAsGroup"]},
            "args": arguments,
            "env": environment,
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": own["allowPrivilegeEscalation"] == false,
        },
        "root": {"path": "rootfs", "readonly": own["readOnlyRootFilesystem"]},
        "hostname": "lab",
        "mounts": mounts(pod, place),
        "linux": {
            "cgroupsPath": format!("/{}", place.cgroup),
            "namespaces": namespaces(lab),
            "seccomp": filter(false),
        },
    })
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.map(|item| item.as_str().expect("text").to_owned()).collect()
}

/// What every container has, and what the pod asks for.
fn mounts(pod: &Value, place: &Place<'_>) -> Vec<Value> {
    let read_only = ["nosuid", "noexec", "nodev", "ro"];
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc"}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755"]}),
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": read_only}),
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": read_only}),
    ];
    let volumes = pod["volumes"].as_array().expect("volumes");
    for mount in pod["containers"][0]["volumeMounts"].as_array().expect("mounts") {
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]);
        let path = volume.expect("its volume")["hostPath"]["path"].as_str().expect("a path");
        let source = match path {
            "/var/log/pods" => place.kubepods.logs("pods"),
            "/var/log/containers" => place.kubepods.logs("containers"),
            path => path.to_owned(),
        };
        assert_eq!(mount["readOnly"], true, "{mount}");
        mounts.push(json!({
            "destination": mount["mountPath"], "source": source, "type": "bind", "options": ["rbind", "rprivate", "ro"],
        }));
    }
    mounts
}
