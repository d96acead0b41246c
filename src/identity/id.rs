//! The identifiers that a cgroup's path carries.

use std::fmt;
use std::sync::Arc;

/// A pod's UID in its usual form: a UUID with dashes, a static pod's 32 hex digits, or whatever a
/// manifest on the node said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodUid(Arc<str>);

impl PodUid {
    /// The UID as written in a path. The systemd driver writes every dash as `_`, also those of a UID that a static
    /// pod's manifest made up; so the two are alike.
    pub fn from_path(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.replace('_', "-").into()))
    }

    /// Whether a text can be nothing but a UID: a UUID in either spelling, or 32 hex digits.
    pub fn is_unmistakable(text: &str) -> bool {
        is_uuid(text, b'-') || is_uuid(text, b'_') || (text.len() == 32 && text.bytes().all(is_hex))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As text that may be kept at no cost.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

/// `8-4-4-4-12` hex digits.
fn is_uuid(text: &str, separator: u8) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == separator,
            _ => is_hex(byte),
        })
}

/// Identifiers are written in lower case everywhere.
pub(super) fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// A container's id: 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(Arc<str>);

impl ContainerId {
    /// The id, if the text is one.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 64 && text.bytes().all(is_hex)).then(|| Self(text.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As text that may be kept at no cost.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The first 12 digits, as `crictl ps` and `docker ps` show them.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

/// The runtime that made a container's cgroup, as far as the cgroup's name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Runtime {
    /// `cri-containerd-<id>.scope`
    Containerd,
    /// `crio-<id>.scope`, `crio-<id>`
    CriO,
    /// `docker-<id>.scope`
    Docker,
    /// `libpod-<id>.scope`
    Podman,
    /// `<id>`: containerd and Docker both write that with the cgroupfs driver.
    Unknown,
}

impl Runtime {
    /// The scheme of the container ids that Kubernetes shows (`containerd://…`); empty where unknown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Unknown => "",
        }
    }

    /// The runtime and the id in a container's id as Kubernetes writes it, `containerd://<id>`.
    pub fn of_qualified(text: &str) -> Option<(Self, ContainerId)> {
        let (scheme, id) = text.split_once("://")?;
        let runtime = match scheme {
            "containerd" => Self::Containerd,
            "cri-o" => Self::CriO,
            "docker" => Self::Docker,
            "podman" => Self::Podman,
            _ => Self::Unknown,
        };
        Some((runtime, ContainerId::parse(id)?))
    }

    /// A container's id as Kubernetes and kube-state-metrics write it; bare where the runtime is unknown.
    pub fn qualify(self, id: &ContainerId) -> String {
        match self {
            Self::Unknown => id.as_str().to_owned(),
            _ => format!("{}://{}", self.name(), id.as_str()),
        }
    }
}

/// A pod's quality-of-service class, from the tier its cgroup is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QosClass {
    /// Directly under kubepods.
    Guaranteed,
    /// `burstable`
    Burstable,
    /// `besteffort`
    BestEffort,
}

impl fmt::Display for QosClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        })
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualified_ids_are_read_as_they_are_written() {
        let id = ContainerId::parse(&"0a".repeat(32)).expect("an id");
        for runtime in [Runtime::Containerd, Runtime::CriO, Runtime::Docker, Runtime::Podman] {
            assert_eq!(Runtime::of_qualified(&runtime.qualify(&id)), Some((runtime, id.clone())));
        }
        let strange = format!("rkt://{}", id.as_str());
        assert_eq!(Runtime::of_qualified(&strange), Some((Runtime::Unknown, id.clone())));
        for text in ["", id.as_str(), "containerd://", "containerd://0a", "://"] {
            assert_eq!(Runtime::of_qualified(text), None, "{text}");
        }
    }
}
