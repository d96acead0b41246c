//! Where the kubelet is, and whom its certificate names.

use super::{Node, etcd, has_names, is_up, without_logs};
use crate::harness::kubelet::Kubelet;

#[test]
fn a_certificate_that_names_the_node_is_taken_for_the_nodes_name() {
    let kubelet = || Kubelet::self_signed(etcd(), "node-1");
    let node = Node::with(without_logs(), kubelet(), &["--kubelet.server-name=node-1"]);
    has_names(&node.wait_until(true));
    for more in [&[][..], &["--kubelet.server-name=node-2"]] {
        let node = Node::with(without_logs(), kubelet(), more);
        assert_eq!(is_up(&node.agent.fresh()), Some(0.0), "{more:?}");
        let said = node.says("TLS failed");
        assert!(said.contains("--kubelet.server-name"), "{said}");
        assert_eq!(node.kubelet.asked(), [], "nothing was said to a stranger");
    }
}

#[test]
fn an_address_is_taken_as_the_pods_status_has_it() {
    for hosts in ["127.0.0.2,fd00::1", "[127.0.0.2,fd00::1]", "[127.0.0.2]"] {
        let kubelet = Kubelet::start(etcd());
        let url = format!("--kubelet.url=https://{hosts}:{}", kubelet.port());
        let node = Node::with(without_logs(), kubelet, &[&url]);
        has_names(&node.wait_until(true));
    }
    // There may be nobody, but that is no reason to end.
    let node = Node::with(
        without_logs(),
        Kubelet::start(etcd()),
        &["--kubelet.url=https://fd00::1:10250"],
    );
    node.says("GET https://[fd00::1]:10250/pods");
}
