"""A rollout changes no alert: a pod that takes another's place is the same target to Prometheus.

Usage: chart-rollout.py FILE.yaml, a rendered variant with a PodMonitor. Asks promtool what the target is called.
"""

import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

META = "__meta_kubernetes_"
JOB = "podMonitor/hugetlb-exporter/hugetlb-exporter/0"
# What the operator sets before the PodMonitor's own relabelings.
OPERATORS = [
    {"source_labels": [f"{META}namespace"], "target_label": "namespace"},
    {"source_labels": [f"{META}pod_container_name"], "target_label": "container"},
    {"source_labels": [f"{META}pod_name"], "target_label": "pod"},
    {"target_label": "job", "replacement": "hugetlb-exporter/hugetlb-exporter"},
    {"target_label": "endpoint", "replacement": "metrics"},
]
BEFORE, AFTER = ("hugetlb-exporter-abcde", "10.0.0.7"), ("hugetlb-exporter-fghij", "10.0.0.8")
WANTED = {"instance": "node-1", "job": "hugetlb-exporter", "node": "node-1"}


def snake(relabeling):
    """As in Prometheus's own configuration: sourceLabels is source_labels there."""
    return {re.sub("[A-Z]", lambda found: "_" + found[0].lower(), key): value for key, value in relabeling.items()}


def labels_of(pod, relabelings):
    """What Prometheus calls the target that this pod is."""
    discovered = {
        f"{META}namespace": "hugetlb-exporter",
        f"{META}pod_container_name": "hugetlb-exporter",
        f"{META}pod_name": pod[0],
        f"{META}pod_node_name": "node-1",
    }
    with tempfile.TemporaryDirectory() as directory:
        targets, config = Path(directory, "targets.json"), Path(directory, "prometheus.json")
        targets.write_text(json.dumps([{"targets": [f"{pod[1]}:10270"], "labels": discovered}]))
        config.write_text(json.dumps({"scrape_configs": [{
            "job_name": JOB,
            "file_sd_configs": [{"files": [str(targets)]}],
            "relabel_configs": OPERATORS + [snake(relabeling) for relabeling in relabelings],
        }]}))
        command = ["promtool", "check", "service-discovery", "--timeout=2s", str(config), JOB]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    (found,) = json.loads(answer.stdout)
    return {name: value for name, value in found["labels"].items() if not name.startswith("__")}


def main():
    objects = yaml.safe_load_all(Path(sys.argv[1]).read_text())
    (monitor,) = [found for found in objects if found and found["kind"] == "PodMonitor"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    relabelings = endpoint["relabelings"]
    without = [relabelings[:index] + relabelings[index + 1:] for index in range(len(relabelings))]
    with ThreadPoolExecutor() as pool:
        before, after, *others = pool.map(
            labels_of, [BEFORE, AFTER] + [AFTER] * len(without), [relabelings, relabelings] + without
        )
    problems = [] if before == after == WANTED else [f"a rollout changes the target: {before} becomes {after}"]
    problems += [
        f"without effect: {relabeling}"
        for relabeling, other in zip(relabelings, others)
        if other == WANTED
    ]
    print("\n".join(problems) or "a rollout changes no target")
    sys.exit(bool(problems))


main()
