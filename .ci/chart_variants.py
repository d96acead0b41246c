"""What a rendered chart consists of, to ask questions about it, and what the project says it must be."""

import copy
import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "ghcr.io/hugetlb-exporter/hugetlb-exporter"
# Labels that say of an object that Helm made it.
HELMS = {"app.kubernetes.io/managed-by", "helm.sh/chart"}


def is_hook(found):
    return "helm.sh/hook" in found["metadata"].get("annotations", {})


class Variant:
    """A variant's objects; those of `helm test` by themselves."""

    def __init__(self, rendered):
        self.rendered = rendered
        self.objects = [found for found in rendered if not is_hook(found)]
        self.tests = [found for found in rendered if is_hook(found)]

    def of(self, kind):
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind):
        (found,) = self.of(kind)
        return found

    def pod(self):
        return self.one("DaemonSet")["spec"]["template"]["spec"]

    def containers(self):
        """All containers of the pods, those that run before the others too."""
        return self.pod()["containers"] + self.pod().get("initContainers", [])

    def container(self, name="hugetlb-exporter"):
        (found,) = [found for found in self.containers() if found["name"] == name]
        return found

    def directories(self):
        """Where each directory of the node is mounted: (path on the node, mount)."""
        mounts = {mount["name"]: mount for mount in self.container()["volumeMounts"]}
        volumes = [volume for volume in self.pod()["volumes"] if "hostPath" in volume]
        return [(volume["hostPath"]["path"], mounts[volume["name"]]) for volume in volumes]

    def endpoint(self):
        (found,) = self.one("PodMonitor")["spec"]["podMetricsEndpoints"]
        return found

    def test(self, kind):
        (found,) = [found for found in self.tests if found["kind"] == kind]
        return found

    def test_container(self):
        (found,) = self.test("Pod")["spec"]["containers"]
        return found

    def alerts(self):
        groups = self.one("PrometheusRule")["spec"]["groups"]
        return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def user_is(variant, uid):
    context = variant.pod()["securityContext"]
    own = {"runAsUser", "runAsGroup", "runAsNonRoot"} & set(variant.container()["securityContext"])
    return (context["runAsUser"], context["runAsGroup"], context["runAsNonRoot"]) == (uid, uid, uid != 0) and not own


def all_read_only(variant):
    return all(
        mount.get("readOnly") is True and mount.get("mountPropagation") == "None"
        for _, mount in variant.directories()
    )


def asks_for(variant):
    """Every resource that any container asks for or is limited to."""
    pod = variant.pod()
    containers = pod["containers"] + pod.get("initContainers", [])
    return {
        name
        for container in containers
        for part in container["resources"].values()
        for name in part
    }


def rules():
    return yaml.safe_load((ROOT / "manifests/chart/files/rules.yaml").read_text())


def own_runbooks(groups, base):
    text = json.dumps(groups)
    return json.loads(re.sub(r'("runbook_url": ")[^#"]*', lambda found: found[1] + base, text))


def dashboards(variant):
    return {
        name.removeprefix("hugetlb-exporter-"): json.loads(text)
        for found in variant.of("ConfigMap")
        for name, text in found.get("data", {}).items()
    }


def tailored_rules():
    """The rules of the file as the variant wants them: less two alerts, of another job, with a label more."""
    groups = json.loads(json.dumps(rules()).replace('job=\\"hugetlb-exporter\\"', 'job=\\"huge-pages\\"'))["groups"]
    for group in groups:
        unwanted = ["HugetlbIdleGrant", "HugetlbNearLimit"]
        group["rules"] = [rule for rule in group["rules"] if rule.get("alert") not in unwanted]
        for rule in group["rules"]:
            if "alert" in rule:
                rule["labels"]["team"] = "databases"
    return {"groups": groups}


def without_helm(found):
    """An object without the labels that say that Helm made it."""
    found = copy.deepcopy(found)
    labels = found["metadata"]["labels"]
    found["metadata"]["labels"] = {name: value for name, value in labels.items() if name not in HELMS}
    return found


def selects(selector, found):
    labels = found["metadata"]["labels"]
    return bool(selector) and selector.items() <= labels.items()


def pods_of(variant):
    """What the pods of the DaemonSet look like to a selector."""
    return variant.one("DaemonSet")["spec"]["template"]


def version():
    return re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]


def selectors(variant):
    """All that look for exporters by their labels."""
    services = [found["spec"]["selector"] for found in variant.rendered if found["kind"] == "Service"]
    return [variant.one("DaemonSet")["spec"]["selector"]["matchLabels"], *services]


def service_endpoint(variant):
    (found,) = variant.one("ServiceMonitor")["spec"]["endpoints"]
    return found


def in_order(objects):
    return sorted(objects, key=lambda found: found["kind"])
