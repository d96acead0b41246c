//! What a pod was granted by resource claims (DRA, KEP-5517), as its status tells it.
//!
//! Kubernetes 1.36 writes `resources: {hugepages-2Mi: 32Mi}` for each claim; 1.37 writes
//! `mapping: [{name: hugepages-2Mi, quantity: 32Mi}]`, and `overhead`, of which `perContainer` counts for each container
//! that names the claim.

use serde::Deserialize;
use serde_json::Value;

use super::limits::{InvalidLimit, Resource, Sizes, add, amounts};

/// One claim of a pod, `status.nodeAllocatableResourceClaimStatuses[]`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Claim {
    containers: Option<Vec<String>>,
    resources: Option<Resource>,
    mapping: Option<Vec<Mapping>>,
    overhead: Option<Vec<Overhead>>,
}

#[derive(Debug, Deserialize)]
struct Mapping {
    name: String,
    quantity: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Overhead {
    name: String,
    per_pod: Option<Value>,
    per_container: Option<Value>,
}

/// What all claims add to the pod's limit.
pub(super) fn sizes(claims: &[Claim]) -> Result<Sizes, InvalidLimit> {
    let mut sum = Sizes::new();
    for claim in claims {
        add(&mut sum, &amounts(claim.resources.iter())?);
        for Mapping { name, quantity } in claim.mapping.iter().flatten() {
            add(&mut sum, &amount(name, quantity.as_ref())?);
        }
        let containers = claim.containers.as_ref().map_or(0, Vec::len);
        for Overhead { name, per_pod, per_container } in claim.overhead.iter().flatten() {
            add(&mut sum, &amount(name, per_pod.as_ref())?);
            let each = amount(name, per_container.as_ref())?;
            (0..containers).for_each(|_| add(&mut sum, &each));
        }
    }
    Ok(sum)
}

fn amount(name: &str, quantity: Option<&Value>) -> Result<Sizes, InvalidLimit> {
    let Some(quantity) = quantity else { return Ok(Sizes::new()) };
    amounts([Resource::from([(name.to_owned(), quantity.clone())])].iter())
}

#[cfg(test)]
mod tests {
    use super::super::limits;
    use super::*;
    use serde_json::json;

    /// The limit in MiB of a pod with that spec and these claims.
    fn limit(spec: Value, claims: Value) -> Result<u64, String> {
        let spec = serde_json::from_value(spec).expect("a spec");
        let claims: Vec<Claim> = serde_json::from_value(claims).expect("claims");
        let limits = limits::of(&spec, &claims).map_err(|error| error.to_string())?;
        Ok(limits.first().map_or(0, |(_, bytes)| bytes.0 >> 20))
    }

    fn asks(mebibytes: u64) -> Value {
        let limits = json!({"limits": {"hugepages-2Mi": format!("{mebibytes}Mi")}});
        json!({"containers": [{"resources": limits}]})
    }

    #[test]
    fn claims_add_up_with_the_containers() {
        let of_1_36 = json!([
            {"resourceClaimName": "a", "containers": ["c"], "resources": {"hugepages-2Mi": "32Mi", "cpu": "odd"}},
            {"resourceClaimName": "b", "resources": {"hugepages-2Mi": "2Mi"}},
        ]);
        assert_eq!(limit(asks(8), of_1_36.clone()), Ok(42));
        assert_eq!(limit(json!({}), of_1_36), Ok(34), "nothing is asked for in the spec");
        let of_1_37 = json!([{
            "resourceClaimName": "a", "containers": ["c", "d"],
            "mapping": [{"name": "hugepages-2Mi", "quantity": "32Mi"}, {"name": "memory", "quantity": "odd"}],
            "overhead": [{"name": "hugepages-2Mi", "perPod": "4Mi", "perContainer": "2Mi"}, {"name": "cpu"}],
        }]);
        assert_eq!(limit(asks(8), of_1_37), Ok(48));
        for none in [json!([]), json!([{"resourceClaimName": "a"}]), json!([{"mapping": null}])] {
            assert_eq!(limit(asks(8), none), Ok(8));
        }
    }

    #[test]
    fn the_pods_own_resources_count_instead_of_claims_too() {
        let mut spec = asks(8);
        spec["resources"] = json!({"limits": {"hugepages-2Mi": "64Mi"}});
        spec["overhead"] = json!({"hugepages-2Mi": "2Mi"});
        assert_eq!(limit(spec, json!([{"resources": {"hugepages-2Mi": "32Mi"}}])), Ok(66));
    }

    #[test]
    fn an_amount_that_is_not_understood_is_named() {
        let error =
            limit(asks(8), json!([{"mapping": [{"name": "hugepages-2Mi", "quantity": "lots"}]}]));
        assert!(error.is_err_and(|error| error.contains("hugepages-2Mi: \"lots\" is no quantity")));
    }
}
