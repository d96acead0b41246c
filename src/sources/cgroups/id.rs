//! Which cgroup of the tree.

/// A cgroup's place in the tree's memory. It is given to another once the cgroup is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub(super) usize);
