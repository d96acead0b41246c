//! Who a cgroup belongs to: the owner from its path, the names from the kubelet's log directories and the kubelet.

mod id;
mod names;
mod owner;

pub use id::{ContainerId, PodUid, QosClass, Runtime};
pub use names::{NameIndex, PodName, ToldNames};
pub use owner::{ContainerCgroup, Owner, PodCgroup};
