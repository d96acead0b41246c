//! What a pod was granted, as the kubelet reckons it for the pod's cgroup.
//!
//! The rule is `PodRequests` of component-helpers/resource: containers and sidecars add up; an init container
//! runs before the containers, beside the sidecars that were started before it; what the pod's own resources
//! name counts instead; the overhead comes on top. The kubelet goes by requests, which for huge pages equal the
//! limits, so a limit stands in where a request is missing.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::quantity::{self, InvalidQuantity};
use crate::units::{Bytes, PageSize};

const PREFIX: &str = "hugepages-";

/// Bytes by page size.
type Sizes = BTreeMap<PageSize, u64>;

/// A resource whose size or amount is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    /// The amount.
    #[error("{resource}: {source}")]
    Amount {
        /// Of what.
        resource: String,
        /// Why.
        source: InvalidQuantity,
    },
    /// The page size.
    #[error("{resource:?} names no page size: expected a power of two such as hugepages-2Mi")]
    PageSize {
        /// Of what.
        resource: String,
    },
}

/// What counts of a pod's spec.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    resources: Option<Resources>,
    overhead: Option<Resource>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default)]
    name: String,
    resources: Option<Resources>,
    restart_policy: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resources {
    requests: Option<Resource>,
    limits: Option<Resource>,
}

/// Amounts by the resource's name. They are texts; numbers are accepted, as Kubernetes does.
type Resource = BTreeMap<String, Value>;

/// The limits of the pod's cgroup, smallest page size first; what is zero is left out.
pub(super) fn of(spec: &Spec) -> Result<Vec<(PageSize, Bytes)>, InvalidLimit> {
    let mut sizes = of_containers(spec)?;
    // The pod's own word replaces the sum, size by size.
    sizes.extend(asked(spec.resources.as_ref())?);
    add(&mut sizes, &amounts(spec.overhead.iter())?);
    let limits = sizes.into_iter().filter(|(_, bytes)| *bytes > 0);
    Ok(limits.map(|(size, bytes)| (size, Bytes(bytes))).collect())
}

/// What each container asks for, as far as that is understood.
pub(super) fn of_each(spec: &Spec) -> Vec<(String, PageSize, Bytes)> {
    let containers = spec.init_containers.iter().chain(&spec.containers).flatten();
    let each = containers.flat_map(|container| {
        let sizes = asked(container.resources.as_ref()).unwrap_or_default().into_iter();
        sizes.map(|(size, bytes)| (container.name.clone(), size, Bytes(bytes)))
    });
    each.filter(|(.., bytes)| *bytes > Bytes::ZERO).collect()
}

fn of_containers(spec: &Spec) -> Result<Sizes, InvalidLimit> {
    let mut together = Sizes::new();
    for container in spec.containers.iter().flatten() {
        add(&mut together, &asked(container.resources.as_ref())?);
    }
    let (mut sidecars, mut starting) = (Sizes::new(), Sizes::new());
    for container in spec.init_containers.iter().flatten() {
        let own = asked(container.resources.as_ref())?;
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut together, &own);
            add(&mut sidecars, &own);
            raise(&mut starting, &sidecars);
        } else {
            let mut beside_sidecars = own;
            add(&mut beside_sidecars, &sidecars);
            raise(&mut starting, &beside_sidecars);
        }
    }
    raise(&mut together, &starting);
    Ok(together)
}

/// What resources ask for: the requests, and the limits of what is not requested.
fn asked(resources: Option<&Resources>) -> Result<Sizes, InvalidLimit> {
    let Some(Resources { requests, limits }) = resources else { return Ok(Sizes::new()) };
    amounts(limits.iter().chain(requests))
}

/// The huge pages among these resources; of one name the last counts.
fn amounts<'a>(resources: impl Iterator<Item = &'a Resource>) -> Result<Sizes, InvalidLimit> {
    let by_name: BTreeMap<&String, &Value> =
        resources.flatten().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    let mut sizes = Sizes::new();
    for (name, amount) in by_name {
        // The same size may be spelled in two ways; the kubelet adds them up.
        add(&mut sizes, &Sizes::from([(page_size(name)?, bytes(name, amount)?)]));
    }
    Ok(sizes)
}

/// The size in a name such as `hugepages-2Mi`, which is a quantity too.
fn page_size(resource: &str) -> Result<PageSize, InvalidLimit> {
    resource
        .strip_prefix(PREFIX)
        .and_then(|size| quantity::parse(size).ok())
        .and_then(|size| PageSize::from_bytes(size.0))
        .ok_or_else(|| InvalidLimit::PageSize { resource: resource.to_owned() })
}

fn bytes(resource: &str, amount: &Value) -> Result<u64, InvalidLimit> {
    let parsed = match amount {
        Value::String(text) => quantity::parse(text),
        other => quantity::parse(&other.to_string()),
    };
    parsed
        .map(|bytes| bytes.0)
        .map_err(|source| InvalidLimit::Amount { resource: resource.to_owned(), source })
}

fn add(sum: &mut Sizes, other: &Sizes) {
    for (size, bytes) in other {
        let sum = sum.entry(*size).or_default();
        *sum = sum.saturating_add(*bytes);
    }
}

fn raise(most: &mut Sizes, other: &Sizes) {
    for (size, bytes) in other {
        let most = most.entry(*size).or_default();
        *most = (*most).max(*bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn limits(spec: &Value) -> Result<Vec<(String, u64)>, String> {
        let spec: Spec = serde_json::from_value(spec.clone()).expect("a spec");
        let limits = of(&spec).map_err(|error| error.to_string())?;
        Ok(limits.into_iter().map(|(size, bytes)| (size.to_string(), bytes.0 >> 20)).collect())
    }

    fn asks(mebibytes: u64) -> Value {
        json!({"resources": {"limits": {"hugepages-2Mi": format!("{mebibytes}Mi"), "cpu": "odd"}}})
    }

    fn sidecar(mebibytes: u64) -> Value {
        let mut sidecar = asks(mebibytes);
        sidecar["restartPolicy"] = json!("Always");
        sidecar
    }

    #[track_caller]
    fn is(spec: &Value, mebibytes: u64) {
        assert_eq!(limits(spec), Ok(vec![("2Mi".to_owned(), mebibytes)]), "{spec}");
    }

    #[test]
    fn containers_and_sidecars_add_up_and_init_containers_take_turns() {
        is(&json!({"containers": [asks(4), asks(6)]}), 10);
        is(&json!({"containers": [asks(4)], "initContainers": [asks(10), asks(6)]}), 10);
        is(&json!({"containers": [asks(12)], "initContainers": [asks(10), asks(6)]}), 12);
        is(&json!({"containers": [asks(4)], "initContainers": [sidecar(6)]}), 10);
        // Only the sidecars that were started before it run beside an init container.
        is(&json!({"containers": [asks(2)], "initContainers": [sidecar(4), asks(10)]}), 14);
        is(&json!({"containers": [asks(2)], "initContainers": [asks(10), sidecar(4)]}), 10);
        is(&json!({"initContainers": [sidecar(4), asks(2), sidecar(6), asks(4)]}), 14);
    }

    #[test]
    fn the_pods_own_resources_count_instead_size_by_size() {
        let resources = json!({"limits": {"hugepages-2Mi": "64Mi"}});
        let large = json!({"resources": {"limits": {"hugepages-1Gi": "1Gi"}}});
        is(&json!({"resources": resources, "containers": [asks(4)]}), 64);
        is(&json!({"resources": {"limits": {"cpu": "1"}}, "containers": [asks(4)]}), 4);
        assert_eq!(
            limits(&json!({"resources": resources, "containers": [large, asks(4)]})),
            Ok(vec![("2Mi".to_owned(), 64), ("1Gi".to_owned(), 1024)])
        );
        let none = json!({"limits": {"hugepages-2Mi": "0"}});
        assert_eq!(limits(&json!({"resources": none, "containers": [asks(4)]})), Ok(vec![]));
    }

    #[test]
    fn requests_count_before_limits_and_the_overhead_comes_on_top() {
        let both = json!({"resources": {"requests": {"hugepages-2Mi": "8Mi"}, "limits": {"hugepages-2Mi": "8Mi"}}});
        is(&json!({"containers": [both]}), 8);
        is(&json!({"containers": [{"resources": {"requests": {"hugepages-2Mi": "8Mi"}}}]}), 8);
        is(&json!({"containers": [asks(4)], "overhead": {"hugepages-2Mi": "2Mi"}}), 6);
    }

    #[test]
    fn what_asks_for_none_is_granted_none() {
        for spec in [
            json!({}),
            json!({"containers": null, "initContainers": null, "resources": null, "overhead": null}),
            json!({"containers": []}),
            json!({"containers": [{}]}),
            json!({"containers": [{"resources": null}]}),
            json!({"containers": [{"resources": {"limits": null, "requests": {}}}]}),
            json!({"containers": [{"resources": {"limits": {"memory": "1Gi"}}}]}),
        ] {
            assert_eq!(limits(&spec), Ok(vec![]), "{spec}");
        }
    }

    #[test]
    fn one_size_in_two_spellings_and_amounts_as_numbers() {
        let two = json!({"limits": {"hugepages-2Mi": "4Mi", "hugepages-2048Ki": 2_097_152}});
        is(&json!({"containers": [{"resources": two}]}), 6);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let limit = |name: &str, amount: Value| {
            limits(&json!({"containers": [{"resources": {"limits": {name: amount}}}]}))
        };
        for (name, amount, part) in [
            ("hugepages-2Mi", json!("lots"), "hugepages-2Mi: \"lots\" is no quantity"),
            ("hugepages-2Mi", json!("-2Mi"), "\"-2Mi\" is no quantity"),
            ("hugepages-2Mi", json!(null), "\"null\" is no quantity"),
            ("hugepages-2Mi", json!(["2Mi"]), "is no quantity"),
            ("hugepages-3Mi", json!("3Mi"), "\"hugepages-3Mi\" names no page size"),
            ("hugepages-2M", json!("2M"), "\"hugepages-2M\" names no page size"),
            ("hugepages-", json!("2Mi"), "\"hugepages-\" names no page size"),
        ] {
            let error = limit(name, amount).expect_err(name);
            assert!(error.contains(part), "{error}");
        }
        assert!(limit("hugepages-2Mi", json!("16Ei")).is_ok(), "much, but a number");
    }

    proptest! {
        #[test]
        fn the_limit_is_never_less_than_any_moment_of_the_pods_life(
            containers in prop::collection::vec(0_u64..50, 0..4),
            inits in prop::collection::vec((0_u64..50, any::<bool>()), 0..5),
        ) {
            let spec = json!({
                "containers": containers.iter().map(|asked| asks(*asked)).collect::<Vec<_>>(),
                "initContainers": inits
                    .iter()
                    .map(|(asked, stays)| if *stays { sidecar(*asked) } else { asks(*asked) })
                    .collect::<Vec<_>>(),
            });
            let stays = |upto: usize| -> u64 {
                inits.iter().take(upto).filter(|(_, stays)| *stays).map(|(asked, _)| asked).sum()
            };
            let moments = (0..inits.len()).map(|at| stays(at) + inits[at].0);
            let running = containers.iter().sum::<u64>() + stays(inits.len());
            let most = moments.chain([running]).max().unwrap_or(0);
            let limits = limits(&spec).expect("limits");
            prop_assert_eq!(limits.first().map_or(0, |(_, mebibytes)| *mebibytes), most);
        }
    }
}
