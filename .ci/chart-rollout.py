"""A rollout changes no alert: a pod that takes another's place is the same target to Prometheus.

Usage: chart-rollout.py FILE.yaml..., rendered variants with a PodMonitor or a ServiceMonitor and with rules. Asks promtool
what the target is called.
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
BEFORE, AFTER = ("hugetlb-exporter-abcde", "10.0.0.7"), ("hugetlb-exporter-fghij", "10.0.0.8")


def snake(relabeling):
    """As in Prometheus's own configuration: sourceLabels is source_labels there."""
    return {re.sub("[A-Z]", lambda found: "_" + found[0].lower(), key): value for key, value in relabeling.items()}


def meta(name):
    """A label of a pod or of a Service, as service discovery calls it."""
    return re.sub("[^a-zA-Z0-9_]", "_", name)


class Scrape:
    """A variant's monitor, what it finds, and what the operator does before its relabelings."""

    def __init__(self, path):
        objects = {found["kind"]: found for found in yaml.safe_load_all(Path(path).read_text()) if found}
        self.name = Path(path).stem
        self.of_service = "ServiceMonitor" in objects
        self.spec = objects["ServiceMonitor" if self.of_service else "PodMonitor"]["spec"]
        (endpoint,) = self.spec["endpoints" if self.of_service else "podMetricsEndpoints"]
        self.relabelings = endpoint["relabelings"]
        self.discovered = {
            f"{META}namespace": "hugetlb-exporter",
            f"{META}pod_container_name": "hugetlb-exporter",
            f"{META}pod_node_name": "node-1",
            f"{META}service_name": "hugetlb-exporter",
        }
        pods = objects["DaemonSet"]["spec"]["template"]
        for role, found in [("pod", pods), ("service", objects.get("Service", pods))]:
            for name, value in found["metadata"]["labels"].items():
                self.discovered[f"{META}{role}_label_{meta(name)}"] = value
        # The job that HugetlbExporterDown asks for.
        (self.job,) = set(re.findall(r'job=\\?"([^"\\]*)', json.dumps(objects["PrometheusRule"])))

    def wanted(self):
        return {"instance": "node-1", "job": self.job, "node": "node-1"}

    def operators(self):
        role = "service" if self.of_service else "pod"
        found = [
            {"source_labels": [f"{META}namespace"], "target_label": "namespace"},
            {"source_labels": [f"{META}pod_container_name"], "target_label": "container"},
            {"source_labels": [f"{META}pod_name"], "target_label": "pod"},
            {"target_label": "job", "replacement": "hugetlb-exporter/hugetlb-exporter"},
            {"target_label": "endpoint", "replacement": "metrics"},
        ]
        if self.of_service:
            found.append({"source_labels": [f"{META}service_name"], "target_label": "service"})
        if "jobLabel" in self.spec:
            source = f"{META}{role}_label_{meta(self.spec['jobLabel'])}"
            found.append({"source_labels": [source], "regex": "(.+)", "target_label": "job"})
        return found

    def labels_of(self, pod, relabelings):
        """What Prometheus calls the target that this pod is."""
        with tempfile.TemporaryDirectory() as directory:
            targets, config = Path(directory, "targets.json"), Path(directory, "prometheus.json")
            labels = {**self.discovered, f"{META}pod_name": pod[0]}
            targets.write_text(json.dumps([{"targets": [f"{pod[1]}:10270"], "labels": labels}]))
            config.write_text(json.dumps({"scrape_configs": [{
                "job_name": "huge-pages",
                "file_sd_configs": [{"files": [str(targets)]}],
                "relabel_configs": self.operators() + [snake(relabeling) for relabeling in relabelings],
            }]}))
            command = ["promtool", "check", "service-discovery", "--timeout=2s", str(config), "huge-pages"]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        (found,) = json.loads(answer.stdout)
        return {name: value for name, value in found["labels"].items() if not name.startswith("__")}

    def problems(self, pool):
        relabelings = self.relabelings
        without = [relabelings[:index] + relabelings[index + 1:] for index in range(len(relabelings))]
        asked = [(BEFORE, relabelings), (AFTER, relabelings)] + [(AFTER, fewer) for fewer in without]
        before, after, *others = pool.map(lambda question: self.labels_of(*question), asked)
        if not before == after == self.wanted():
            yield f"{self.name}: the target is {before}, then {after}, and should be {self.wanted()}"
        for relabeling, other in zip(relabelings, others):
            if other == self.wanted():
                yield f"{self.name}: without effect: {relabeling}"


def main():
    with ThreadPoolExecutor(32) as pool, ThreadPoolExecutor() as monitors:
        found = list(monitors.map(lambda path: list(Scrape(path).problems(pool)), sys.argv[1:]))
    problems = [problem for of_one in found for problem in of_one]
    print("\n".join(problems) or "a rollout changes no target")
    sys.exit(bool(problems))


main()
