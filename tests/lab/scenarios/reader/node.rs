//! A node that lives: cgroups come and go, tenants map, touch, die and are moved, limits are set, files are left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::Lab;
use crate::cgroup::Cgroup;
use crate::flicker::Flicker;
use crate::harness::wait_for;
use crate::machine::Phase;
use crate::tenant::Tenant;

/// A small generator (xorshift), so that a seed repeats a run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % limit
    }

    fn pages(&mut self, most: u64) -> u64 {
        u64::try_from(self.below(usize::try_from(most).expect("few") + 1)).expect("few")
    }
}

/// A tenant, with what it has mapped and touched.
struct Running {
    tenant: Tenant,
    cgroup: String,
    mapped: u64,
    touched: u64,
}

/// A node that lives. Cgroups by path, so that the innermost are the last of those that begin alike.
pub(super) struct Node<'a> {
    lab: &'a Lab,
    random: Random,
    cgroups: BTreeMap<String, Cgroup>,
    tenants: Vec<Running>,
    files: Files,
    /// Those that have, or have had, others below them.
    parents: BTreeSet<String>,
    made: u32,
}

impl<'a> Node<'a> {
    /// With kubepods, its tier, and services.
    pub(super) fn new(lab: &'a Lab, seed: u64) -> Self {
        let mut node = Self {
            lab,
            random: Random(seed),
            cgroups: BTreeMap::new(),
            tenants: Vec::new(),
            files: Files::mount(),
            parents: ["kubepods", "kubepods/burstable", "lab-services"].map(str::to_owned).into(),
            made: 0,
        };
        for path in ["kubepods", "kubepods/burstable", "lab-services"] {
            node.cgroups.insert(path.to_owned(), Cgroup::new(lab, path));
        }
        node
    }

    /// Something happens, and is over when this returns. What it was.
    pub(super) fn happen(&mut self) -> String {
        match self.random.below(12) {
            0 | 1 => self.make(),
            2 => self.remove(),
            3 | 4 => self.start(),
            5 => self.map(),
            6 | 7 => self.touch(),
            8 => self.touch_too_much(),
            9 => self.end(),
            10 => self.limit(),
            _ => self.move_tenant(),
        }
    }

    /// Whether this is one of so many times.
    pub(super) fn in_one_of(&mut self, times: usize) -> bool {
        self.random.below(times) == 0
    }

    /// Has a process take a page and give it back for as long as this lasts, so that no two readings are of the same state.
    pub(super) fn flickering(&mut self, meanwhile: impl FnOnce()) {
        if let Some(path) = self.pick_leaf() {
            let flicker = Flicker::in_cgroup(&self.cgroups[&path]);
            meanwhile();
            drop(flicker);
        }
    }

    fn pick(&mut self) -> String {
        let place = self.random.below(self.cgroups.len());
        self.cgroups.keys().nth(place).expect("there are some").clone()
    }

    /// A cgroup in which processes may be: on v2 one that has never had another below it.
    fn pick_leaf(&mut self) -> Option<String> {
        let leaves: Vec<String> =
            self.cgroups.keys().filter(|path| !self.parents.contains(*path)).cloned().collect();
        let count = leaves.len();
        (count > 0).then(|| leaves[self.random.below(count)].clone())
    }

    fn make(&mut self) -> String {
        let above = self.pick();
        // Where processes are, none can be made on v2.
        if self.tenants.iter().any(|running| running.cgroup == above)
            || above.matches('/').count() > 4
        {
            return "nothing".to_owned();
        }
        self.made += 1;
        let number = self.made;
        let name = match (above.as_str(), number % 5) {
            ("kubepods" | "kubepods/burstable", 0..4) => {
                format!("pod{number:08x}-1111-4222-8333-444444444444")
            }
            (_, 0..3) => format!("{number:064x}"),
            _ => format!("lab-{number}"),
        };
        let path = format!("{above}/{name}");
        self.cgroups.insert(path.clone(), Cgroup::new(self.lab, &path));
        self.parents.insert(above);
        format!("made {path}")
    }

    fn remove(&mut self) -> String {
        let path = self.pick();
        let is_above = |other: &String| other.starts_with(&format!("{path}/"));
        if !path.contains('/') || path == "kubepods/burstable" || self.cgroups.keys().any(is_above)
        {
            return "nothing".to_owned();
        }
        self.tenants.retain(|running| running.cgroup != path);
        self.cgroups.remove(&path).expect("it is there").remove();
        self.parents.remove(&path);
        format!("removed {path}")
    }

    fn start(&mut self) -> String {
        let Some(path) = self.pick_leaf().filter(|_| self.tenants.len() < 20) else {
            return self.end();
        };
        let cgroup = &self.cgroups[&path];
        let kinds = ["private", "shared", "no-reserve", "file"];
        let kind = kinds[self.random.below(kinds.len())];
        let tenant = match kind {
            "file" => Tenant::with_file(cgroup, &self.files.next()),
            kind => Tenant::new(cgroup, kind),
        };
        self.tenants.push(Running { tenant, cgroup: path.clone(), mapped: 0, touched: 0 });
        format!("started {kind} in {path}")
    }

    fn map(&mut self) -> String {
        let pages = 1 + self.random.pages(12);
        let count = self.tenants.len();
        if count == 0 {
            return self.start();
        }
        let place = self.random.below(count);
        let running = &mut self.tenants[place];
        if running.mapped > 0 {
            return "nothing".to_owned();
        }
        let answer = running.tenant.tell(&format!("map {pages}")).unwrap_or_default();
        if answer == "mapped" {
            running.mapped = pages;
        }
        format!("{answer} {pages} in {}", running.cgroup)
    }

    fn touch(&mut self) -> String {
        let count = self.tenants.len();
        if count == 0 {
            return self.start();
        }
        let place = self.random.below(count);
        let running = &mut self.tenants[place];
        let pages = (running.touched + 1 + self.random.pages(4)).min(running.mapped);
        if pages == 0 {
            return self.map();
        }
        running.touched = pages;
        let cgroup = running.cgroup.clone();
        if running.tenant.survives_touching(pages) {
            return format!("touched {pages} in {cgroup}");
        }
        self.tenants.remove(place);
        format!("died of touching {pages} in {cgroup}")
    }

    /// A limit that does not hold what is mapped, and then a touch.
    fn touch_too_much(&mut self) -> String {
        let untouched = |running: &Running| running.mapped > running.touched;
        let Some(place) = self.tenants.iter().position(untouched) else { return self.touch() };
        let mut running = self.tenants.remove(place);
        let cgroup = &self.cgroups[&running.cgroup];
        let used = cgroup.read("hugetlb.2MB.current", "hugetlb.2MB.usage_in_bytes");
        cgroup.set("2MB", used.parse().expect("bytes"));
        let survived = running.tenant.survives_touching(running.mapped);
        format!("a limit of {used} in {}: survived {survived}", running.cgroup)
    }

    fn end(&mut self) -> String {
        let count = self.tenants.len();
        if count == 0 {
            return self.make();
        }
        let place = self.random.below(count);
        let mut running = self.tenants.remove(place);
        running.tenant.stop();
        self.files.remove_one(&mut self.random);
        format!("ended one in {}", running.cgroup)
    }

    fn limit(&mut self) -> String {
        let path = self.pick();
        let cgroup = &self.cgroups[&path];
        let pages = self.random.pages(40);
        let what = ["2MB.rsvd.", "1GB.", "2MB.", "2MB."][self.random.below(4)];
        let file = if self.lab.phase == Phase::V1 { "limit_in_bytes" } else { "max" };
        let file = format!("hugetlb.{what}{file}");
        // v1 refuses a limit below what is used.
        let _ = fs::write(cgroup.path().join(&file), (pages << 21).to_string());
        format!("{file} of {path}: {pages}")
    }

    /// A process takes nothing with it: what it touched stays charged where it was.
    fn move_tenant(&mut self) -> String {
        let (Some(path), false) = (self.pick_leaf(), self.tenants.is_empty()) else {
            return self.make();
        };
        let place = self.random.below(self.tenants.len());
        self.cgroups[&path].add(self.tenants[place].tenant.pid());
        self.tenants[place].cgroup.clone_from(&path);
        format!("moved one to {path}")
    }
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        self.tenants.clear();
        // The innermost first.
        while let Some((_, cgroup)) = self.cgroups.pop_last() {
            drop(cgroup);
        }
    }
}

/// Files of huge pages: what is left of them is charged to nobody alive.
struct Files {
    mounted: PathBuf,
    made: u32,
}

impl Files {
    fn mount() -> Self {
        let mounted = tempfile::tempdir().expect("a directory").keep();
        mount(Some("none"), &mounted, Some("hugetlbfs"), MsFlags::empty(), Some("pagesize=2M"))
            .expect("a mount in a namespace of our own");
        Self { mounted, made: 0 }
    }

    fn next(&mut self) -> PathBuf {
        self.made += 1;
        self.mounted.join(format!("file-{}", self.made))
    }

    fn remove_one(&mut self, random: &mut Random) {
        let files: Vec<_> = fs::read_dir(&self.mounted).expect("listed").flatten().collect();
        if !files.is_empty() {
            fs::remove_file(files[random.below(files.len())].path()).expect("removed");
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for file in fs::read_dir(&self.mounted).into_iter().flatten().flatten() {
            // What can't be removed goes with the mount.
            let _ = fs::remove_file(file.path());
        }
        wait_for("the mount to be unused", || umount2(&self.mounted, MntFlags::empty()).ok());
        let _ = fs::remove_dir(&self.mounted);
    }
}
