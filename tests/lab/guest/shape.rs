//! What kind of machine a guest is.

/// Processors, memory, pools, and how cgroup2 is mounted.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Processors, at least one for each NUMA node.
    pub processors: u32,
    /// Memory in MiB, spread evenly over the NUMA nodes.
    pub memory: u32,
    /// NUMA nodes.
    pub nodes: u32,
    /// Whether huge pages count as memory (`memory_hugetlb_accounting`, Linux 6.7 and later).
    pub accounting: bool,
    /// Pages of each pool, by the kernel's spelling of their size (`2M`, `1G`); the kernel spreads them over the nodes.
    pub pools: &'static [(&'static str, u64)],
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            processors: 2,
            memory: 2048,
            nodes: 1,
            accounting: false,
            pools: &[("2M", crate::machine::POOL_PAGES)],
        }
    }
}

impl Shape {
    /// What makes qemu such a machine.
    pub fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            ("-smp", format!("{},sockets={}", self.processors, self.processors)),
            ("-m", format!("{}M", self.memory)),
        ];
        if self.nodes > 1 {
            for node in 0..self.nodes {
                let (memory, first) = (self.memory / self.nodes, self.first_processor(node));
                let last = self.first_processor(node + 1) - 1;
                let cpus = format!("{first}-{last}");
                flags.extend([
                    ("-object", format!("memory-backend-ram,id=memory{node},size={memory}M")),
                    ("-numa", format!("node,nodeid={node},cpus={cpus},memdev=memory{node}")),
                ]);
            }
        }
        flags.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    fn first_processor(&self, node: u32) -> u32 {
        node * self.processors / self.nodes
    }

    /// What the kernel is told of pools when it boots.
    pub fn words(&self) -> String {
        let pools = self.pools.iter();
        pools.map(|(size, pages)| format!(" hugepagesz={size} hugepages={pages}")).collect()
    }
}
