//! The body of a kubelet's answer to `GET /pods`.

use std::sync::Arc;

use hugetlb_exporter::fuzzing::{NameIndex, read_pods};

/// Reads it as the agent does.
pub fn kubelet(bytes: &[u8]) {
    let Ok(answer) = read_pods(bytes) else { return };
    let names = NameIndex::default().with_told(Arc::new(answer.names));
    let pods = &answer.declared.pods;
    assert!(pods.is_sorted_by(|left, right| left.uid < right.uid), "they are searched by uid");
    for pod in pods {
        assert_eq!(answer.declared.pod(&pod.uid), Some(pod));
        assert_eq!(names.pod(&pod.uid), Some(&pod.name), "a pod with a limit has a name");
        assert!(pod.uid.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(pod.limits.is_sorted_by(|(left, _), (right, _)| left < right));
        assert!(pod.limits.iter().all(|(size, bytes)| bytes.0 > 0 && pod.limit(*size) == *bytes));
        for id in pod.containers.iter().filter_map(|container| container.id.as_ref()) {
            assert!(id.as_str().len() == 64 && id.as_str().is_ascii());
        }
    }
}
