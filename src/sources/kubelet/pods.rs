//! The kubelet's answer becomes facts. A pod that can't be understood costs only itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::limits::{self, Spec};
use crate::identity::{PodName, PodUid, Runtime, ToldNames};
use crate::snapshot::{Declared, DeclaredContainer, DeclaredPod, Problems};
use crate::units::{Bytes, PageSize};

/// More is no UID of any kubelet's.
const LONGEST_UID: usize = 253;

/// Kubelets run 110 pods unless told otherwise, and hardly more than 1,000 when told.
const MOST_PODS: usize = 10_000;

/// What an answer tells.
#[derive(Debug, Default)]
pub struct Answer {
    /// The pods whose limits are understood.
    pub declared: Declared,
    /// The names of all pods that are understood.
    pub names: ToldNames,
    /// What is not.
    pub problems: Problems,
}

/// The answer as a whole is no list of pods.
#[derive(Debug, thiserror::Error)]
pub enum NotPods {
    /// It is no JSON, or not of that shape.
    #[error("the answer is no list of pods: {0}; expected JSON with `items`")]
    Json(#[from] serde_json::Error),
    /// It is something else of Kubernetes'.
    #[error("the answer is a {kind}; expected a PodList")]
    Kind {
        /// Its kind.
        kind: String,
    },
}

#[derive(Deserialize)]
struct PodList {
    kind: Option<String>,
    items: Option<Items>,
}

/// The pods of a list, each taken in as it comes: a list of many small things would cost far more than its text.
#[derive(Default)]
struct Items {
    pods: BTreeMap<PodUid, Option<Understood>>,
    problems: Problems,
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(TakeIn)
    }
}

struct TakeIn;

impl<'de> Visitor<'de> for TakeIn {
    type Value = Items;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of pods")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items, A::Error> {
        let mut items = Items::default();
        let mut number = 0;
        while let Some(item) = list.next_element::<&RawValue>()? {
            if number == MOST_PODS {
                return Err(A::Error::custom(format_args!("it has more than {MOST_PODS} items")));
            }
            items.take_in(number, item);
            number += 1;
        }
        Ok(items)
    }
}

impl Items {
    fn take_in(&mut self, number: usize, item: &RawValue) {
        match understand(item) {
            Ok(pod) => add(&mut self.pods, pod, &mut self.problems),
            Err(why) => {
                self.problems.add(|| format!("the pod at {number} is not understood: {why}"));
            }
        }
    }
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
    name: String,
    namespace: String,
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "kubernetes.io/config.hash")]
    hash: Option<String>,
    #[serde(rename = "kubernetes.io/config.source")]
    source: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Status {
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    restart_count: Option<u32>,
}

/// A pod that is understood, except perhaps for its limits.
struct Understood {
    uid: PodUid,
    name: PodName,
    limits: Result<Vec<(PageSize, Bytes)>, limits::InvalidLimit>,
    asked: Vec<(String, PageSize, Bytes)>,
    containers: Vec<DeclaredContainer>,
}

/// Reads the body of an answer.
pub fn read(body: &[u8]) -> Result<Answer, NotPods> {
    let list: PodList = serde_json::from_slice(body)?;
    let Items { pods, problems } = match (list.items, list.kind) {
        (Some(items), _) => items,
        // Go writes an empty list as null.
        (None, Some(kind)) if kind == "PodList" => Items::default(),
        (None, kind) => {
            return Err(NotPods::Kind {
                kind: kind.unwrap_or_else(|| "JSON object without `items`".to_owned()),
            });
        }
    };
    let mut answer = Answer { problems, ..Answer::default() };
    for pod in pods.into_values().flatten() {
        answer.take_in(pod);
    }
    Ok(answer)
}

/// Adds a pod by its UID. A static pod and its mirror are one; else nobody with that UID is believed.
fn add(pods: &mut BTreeMap<PodUid, Option<Understood>>, pod: Understood, problems: &mut Problems) {
    match pods.get_mut(&pod.uid) {
        None => {
            pods.insert(pod.uid.clone(), Some(pod));
        }
        Some(Some(known)) if known.name == pod.name => {}
        Some(known) => {
            *known = None;
            problems.add(|| format!("several pods have the uid {}", pod.uid));
        }
    }
}

impl Answer {
    fn take_in(&mut self, pod: Understood) {
        let Understood { uid, name, limits, asked, containers } = pod;
        for container in &containers {
            if let Some(id) = container.id.clone() {
                let DeclaredContainer { name, runtime, attempt, .. } = container;
                self.names.add_container(uid.clone(), id, name, *attempt, *runtime);
            }
        }
        self.names.add_pod(uid.clone(), name.clone());
        match limits {
            Ok(limits) => {
                self.declared.pods.push(DeclaredPod { uid, name, limits, asked, containers });
            }
            // Without the pod nothing is said of its limits; without its limits it would be said to have none.
            Err(error) => self.problems.add(|| {
                format!("the limits of pod {}/{} are unknown: {error}", name.namespace, name.name)
            }),
        }
    }
}

fn understand(item: &RawValue) -> Result<Understood, String> {
    let Pod { metadata, spec, status } =
        serde_json::from_str(item.get()).map_err(|error| error.to_string())?;
    let Metadata { namespace, name, .. } = &metadata;
    let name = PodName::new(namespace, name)
        .ok_or_else(|| format!("{namespace:?}/{name:?} is no pod's name"))?;
    let uid = metadata.cgroup_uid();
    let uid = PodUid::from_path(uid)
        .filter(|uid| {
            let text = uid.as_str();
            text.len() <= LONGEST_UID && text.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .ok_or_else(|| format!("{uid:?} is no uid"))?;
    let spec = spec.unwrap_or_default();
    Ok(Understood {
        uid,
        name,
        limits: limits::of(&spec),
        asked: limits::of_each(&spec),
        containers: status.unwrap_or_default().containers(),
    })
}

impl Metadata {
    /// The UID that the pod's cgroup has. A mirror pod has another, and its hash is the static pod's. Users may
    /// write any annotation on the pods they make, but the kubelet itself writes where it has a pod from.
    fn cgroup_uid(&self) -> &str {
        let annotations = self.annotations.as_ref();
        let source = annotations.and_then(|annotations| annotations.source.as_deref());
        let hash = annotations.and_then(|annotations| annotations.hash.as_deref());
        match (source, hash) {
            (Some("file" | "http"), Some(hash)) if !hash.is_empty() => hash,
            _ => &self.uid,
        }
    }
}

impl Status {
    fn containers(self) -> Vec<DeclaredContainer> {
        let Self { container_statuses, init_container_statuses, ephemeral_container_statuses } =
            self;
        [init_container_statuses, container_statuses, ephemeral_container_statuses]
            .into_iter()
            .flatten()
            .flatten()
            .map(ContainerStatus::container)
            .collect()
    }
}

impl ContainerStatus {
    fn container(self) -> DeclaredContainer {
        let (runtime, id) = self
            .container_id
            .as_deref()
            .and_then(Runtime::of_qualified)
            .map_or((Runtime::Unknown, None), |(runtime, id)| (runtime, Some(id)));
        let attempt = self.restart_count.unwrap_or(0);
        DeclaredContainer { name: self.name, id, runtime, attempt }
    }
}

#[cfg(test)]
mod tests;
