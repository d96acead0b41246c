//! What a pod was granted by resource claims, and which of its findings its annotation mutes.

use serde_json::{Value, json};

use super::{Node, etcd};
use crate::harness::exposition::Exposition;
use crate::harness::kubelet::Says;
use crate::harness::wait_for;

/// The same with something else about the pod.
fn etcd_with(change: impl FnOnce(&mut Value)) -> Says {
    let Says::Answer(status, headers, body) = etcd() else { panic!("an answer") };
    let mut list = serde_json::from_str(&body).expect("JSON");
    change(&mut list);
    Says::Answer(status, headers, list.to_string())
}

fn drift(scrape: &Exposition) -> Option<f64> {
    scrape
        .value("hugetlb_finding", &[("finding", "declared-limit-not-set"), ("pod", "etcd-node-1")])
}

/// The pod's cgroup may touch 200Mi, of which its spec tells half.
#[test]
fn what_resource_claims_add_is_no_drift() {
    let node = Node::new(etcd_with(|list| {
        list["items"][0]["spec"] = json!({});
    }));
    wait_for("the drift", || drift(&node.agent.fresh()));
    for claim in [
        json!({"resourceClaimName": "a", "mapping": [{"name": "hugepages-2Mi", "quantity": "100Mi"}]}),
        json!({"resourceClaimName": "a", "resources": {"hugepages-2Mi": "100Mi"}}),
    ] {
        node.kubelet.say(etcd_with(|list| {
            let half = json!({"hugepages-2Mi": "100Mi"});
            let pod = &mut list["items"][0];
            pod["spec"]["containers"][0]["resources"] = json!({"limits": half, "requests": half});
            pod["status"]["nodeAllocatableResourceClaimStatuses"] = json!([claim]);
        }));
        wait_for("no drift", || drift(&node.agent.fresh()).is_none().then_some(()));
        let declared = [("pod", "etcd-node-1"), ("pagesize", "2Mi")];
        let declared = node.agent.scrape().value("hugetlb_pod_declared_limit_bytes", &declared);
        assert_eq!(declared, Some(209_715_200.0), "{claim}");
        node.kubelet.say(etcd_with(|list| list["items"][0]["spec"] = json!({})));
        wait_for("the drift", || drift(&node.agent.fresh()));
    }
}

#[test]
fn a_pods_annotation_mutes_its_findings_and_they_are_counted() {
    let drifting = |mute: &str| {
        etcd_with(|list| {
            list["items"][0]["spec"] = json!({});
            list["items"][0]["metadata"]["annotations"]["hugetlb-exporter/mute"] = json!(mute);
        })
    };
    let node = Node::new(drifting("idle-grant"));
    wait_for("the drift", || drift(&node.agent.fresh()));
    for mute in ["declared-limit-not-set", "all"] {
        node.kubelet.say(drifting(mute));
        let scrape = wait_for("silence", || {
            Some(node.agent.fresh()).filter(|scrape| drift(scrape).is_none())
        });
        let muted = [("finding", "declared-limit-not-set")];
        assert_eq!(scrape.value("hugetlb_muted_findings", &muted), Some(1.0), "{mute}");
        node.kubelet.say(drifting(""));
        wait_for("the drift", || drift(&node.agent.fresh()));
    }
}
