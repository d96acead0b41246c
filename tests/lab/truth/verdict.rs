//! What the agent says of a limit owner, taken from its metrics.

use std::fmt;

use crate::harness::exposition::{Exposition, Sample};

const SIZE: &str = "2Mi";

/// Whose limit it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    Container {
        uid: String,
        name: String,
    },
    Pod {
        uid: String,
    },
    /// By its path below the hierarchy's root.
    Above {
        path: String,
    },
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container { name, .. } => write!(f, "container {name}"),
            Self::Pod { .. } => write!(f, "the pod"),
            Self::Above { path } => write!(f, "{path}"),
        }
    }
}

impl Who {
    /// Whether a series is about it and pages of that size.
    pub fn is_in(&self, sample: &Sample, size: &str) -> bool {
        let label = |name: &str| sample.labels.get(name).map_or("", String::as_str);
        let (uid, container, path) = match self {
            Self::Container { uid, name } => (uid.as_str(), name.as_str(), None),
            Self::Pod { uid } => (uid.as_str(), "", None),
            Self::Above { path } => ("", "", Some(path.as_str())),
        };
        label("pagesize") == size
            && label("uid") == uid
            && label("container") == container
            && path.is_none_or(|path| label("cgroup") == path)
    }

    /// Whether it is shown by its name; what is neither pod nor container needs none.
    pub fn is_shown(&self, scrape: &Exposition) -> bool {
        let family = match self {
            Self::Container { .. } => "hugetlb_container_usage_bytes",
            Self::Pod { .. } => "hugetlb_pod_usage_bytes",
            Self::Above { .. } => return true,
        };
        scrape.with(family, &[]).any(|sample| self.is_in(sample, SIZE))
    }

    fn shortfall_family(&self) -> Option<&'static str> {
        match self {
            Self::Container { .. } => Some("hugetlb_container_shortfall_bytes"),
            Self::Pod { .. } => Some("hugetlb_pod_shortfall_bytes"),
            Self::Above { .. } => None,
        }
    }
}

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Safe,
    WillCrash,
    Uncertain,
    /// Neither a shortfall nor a reason why there is none.
    Missing,
    /// The finding and the shortfall do not agree.
    Contradictory,
}

/// The verdict on an owner and pages of 2 MiB.
pub fn of(scrape: &Exposition, who: &Who) -> Verdict {
    of_size(scrape, who, SIZE)
}

/// The verdict on an owner and pages of that size.
pub fn of_size(scrape: &Exposition, who: &Who, size: &str) -> Verdict {
    let has = |finding: &str| findings(scrape, finding).any(|sample| who.is_in(sample, size));
    let shortfall = who.shortfall_family().map(|family| {
        scrape.with(family, &[]).find(|sample| who.is_in(sample, size)).map(|sample| sample.value)
    });
    match (has("uncertain"), has("will-crash"), shortfall) {
        (true, false, None | Some(None)) => Verdict::Uncertain,
        (true, ..) => Verdict::Contradictory,
        (false, true, None) => Verdict::WillCrash,
        (false, false, None) => Verdict::Safe,
        (false, will_crash, Some(Some(shortfall))) => match (will_crash, shortfall > 0.0) {
            (true, true) => Verdict::WillCrash,
            (false, false) => Verdict::Safe,
            _ => Verdict::Contradictory,
        },
        (false, true, Some(None)) => Verdict::Contradictory,
        (false, false, Some(None)) => Verdict::Missing,
    }
}

/// The findings of that name that hold.
pub fn findings<'a>(scrape: &'a Exposition, finding: &'a str) -> impl Iterator<Item = &'a Sample> {
    let name = move |sample: &&Sample| {
        sample.labels.get("finding").is_some_and(|name| name == finding) && sample.value == 1.0
    };
    scrape.with("hugetlb_finding", &[]).filter(name)
}

/// What is said of owners that nobody in the scenarios is: nothing should be.
pub fn strays(scrape: &Exposition, known: &[&Who]) -> Vec<String> {
    ["will-crash", "uncertain"]
        .into_iter()
        .flat_map(|finding| findings(scrape, finding))
        .filter(|sample| !known.iter().any(|who| who.is_in(sample, SIZE)))
        .map(|sample| format!("nobody's finding: {:?}", sample.labels))
        .collect()
}

/// Fails at once where the agent has no verdicts at all.
#[track_caller]
pub fn expect_verdicts(scrape: &Exposition) {
    let families = ["hugetlb_container_shortfall_bytes", "hugetlb_pod_shortfall_bytes"];
    let any = scrape.samples().iter().any(|sample| families.contains(&sample.name.as_str()));
    assert!(any, "the agent exports neither of {families:?}");
}
