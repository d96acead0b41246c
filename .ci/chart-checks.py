"""What the rendered chart must be, beyond what schemas know; and that each of these checks can fail.

Usage: chart-checks.py DIRECTORY, with one VARIANT.yaml for each values file, rendered.
"""

import copy
import json
import re
import sys
from pathlib import Path

import kubernetes_validate
import yaml
from kubernetes_validate.utils import all_versions

from chart_variants import (
    HELMS,
    IMAGE,
    ROOT,
    Variant,
    all_read_only,
    asks_for,
    dashboards,
    in_order,
    may_write,
    own_runbooks,
    pods_of,
    rules,
    sees,
    selectors,
    selects,
    service_endpoint,
    tailored_rules,
    user_is,
    version,
    without_helm,
)

# Custom resources: of these the Prometheus operator's models know, or nobody.
CUSTOM = {"PodMonitor", "PrometheusRule", "SecurityContextConstraints", "ServiceMonitor"}


def put(find, key, value):
    """A change that a check must see: sets what is there to something else."""

    def change(variant):
        found = find(variant)
        found[key] = value

    return change


def context(variant):
    return variant.container()["securityContext"]


def node_name(variant):
    (found,) = [found for found in variant.container()["env"] if found["name"] == "NODE_NAME"]
    return found["valueFrom"]["fieldRef"]


def first_mount(variant):
    return variant.directories()[0][1]


def guard(variant):
    return variant.container("guard")


# User 0 and nothing else of root.
GUARDED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "runAsUser": 0,
    "runAsGroup": 0,
    "runAsNonRoot": False,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def witness(variant):
    return variant.container("witness")


# User 0 and of root two capabilities.
WITNESS = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"], "add": ["BPF", "PERFMON"]},
    "privileged": False,
    "readOnlyRootFilesystem": True,
    "runAsUser": 0,
    "runAsGroup": 0,
    "runAsNonRoot": False,
    "seccompProfile": {"type": "RuntimeDefault"},
}

# Variant, what must hold, the check, a change after which it must not hold.
CHECKS = [
    ("default", "it is user 10270", lambda v: user_is(v, 10270),
     put(lambda v: v.pod()["securityContext"], "runAsUser", 0)),
    ("default", "no container overrides that", lambda v: user_is(v, 10270), put(context, "runAsUser", 0)),
    ("default", "it has no capability", lambda v: context(v)["capabilities"] == {"drop": ["ALL"]},
     put(lambda v: context(v)["capabilities"], "add", ["SYS_PTRACE"])),
    ("default", "its root is read-only", lambda v: context(v)["readOnlyRootFilesystem"] is True,
     put(context, "readOnlyRootFilesystem", False)),
    ("default", "it gains no privilege", lambda v: context(v)["allowPrivilegeEscalation"] is False,
     put(context, "allowPrivilegeEscalation", True)),
    ("default", "it is not privileged", lambda v: context(v)["privileged"] is False,
     put(context, "privileged", True)),
    ("default", "its system calls are filtered",
     lambda v: v.pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"},
     put(lambda v: v.pod()["securityContext"]["seccompProfile"], "type", "Unconfined")),
    ("default", "it has no token", lambda v: v.pod()["automountServiceAccountToken"] is False,
     put(Variant.pod, "automountServiceAccountToken", True)),
    ("default", "nobody else of its account has one",
     lambda v: v.one("ServiceAccount")["automountServiceAccountToken"] is False,
     put(lambda v: v.one("ServiceAccount"), "automountServiceAccountToken", True)),
    ("default", "it shares nothing with the node",
     lambda v: not any(v.pod()[kind] for kind in ["hostPID", "hostNetwork", "hostIPC"]),
     put(Variant.pod, "hostPID", True)),
    ("default", "it takes no port of the node", lambda v: all("hostPort" not in port for port in v.container()["ports"]),
     put(lambda v: v.container()["ports"][0], "hostPort", 10270)),
    ("default", "it sees three directories of the node",
     lambda v: [path for path, _ in v.directories()] == ["/sys/fs/cgroup", "/var/log/pods", "/var/log/containers"],
     put(lambda v: v.pod()["volumes"][0]["hostPath"], "path", "/")),
    ("default", "it can write none of them", all_read_only, put(first_mount, "readOnly", False)),
    ("default", "nothing mounted later reaches it", all_read_only,
     put(first_mount, "mountPropagation", "HostToContainer")),
    ("default", "it asks for no huge pages", lambda v: not any("hugepages" in name for name in asks_for(v)),
     put(lambda v: v.container()["resources"]["limits"], "hugepages-2Mi", "2Mi")),
    ("default", "its memory is limited, its processor is not",
     lambda v: list(v.container()["resources"]["limits"]) == ["memory"],
     put(lambda v: v.container()["resources"]["limits"], "cpu", "1")),
    ("default", "it tolerates every taint", lambda v: v.pod()["tolerations"] == [{"operator": "Exists"}],
     put(lambda v: v.pod()["tolerations"][0], "key", "dedicated")),
    ("default", "it is the last to be evicted", lambda v: v.pod()["priorityClassName"] == "system-node-critical",
     put(Variant.pod, "priorityClassName", "")),
    ("default", "a rollout takes a tenth of the nodes at a time",
     lambda v: v.one("DaemonSet")["spec"]["updateStrategy"]
     == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
     put(lambda v: v.one("DaemonSet")["spec"]["updateStrategy"]["rollingUpdate"], "maxUnavailable", 1)),
    ("default", "no variable passes for a flag", lambda v: v.pod()["enableServiceLinks"] is False,
     put(Variant.pod, "enableServiceLinks", True)),
    ("default", "it knows its node's name", lambda v: node_name(v)["fieldPath"] == "spec.nodeName",
     put(node_name, "fieldPath", "metadata.name")),
    ("default", "its image is the project's, of this version", lambda v: v.container()["image"] == f"{IMAGE}:{version()}",
     put(Variant.container, "image", f"{IMAGE}:latest")),
    ("default", "there is nothing else",
     lambda v: sorted(found["kind"] for found in v.objects) == ["DaemonSet", "ServiceAccount"],
     lambda v: v.objects.append({"kind": "ClusterRole"})),
    ("install", "the namespace lets it in",
     lambda v: v.one("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged",
     put(lambda v: v.one("Namespace")["metadata"]["labels"], "pod-security.kubernetes.io/enforce", "restricted")),
    ("install", "it is the default and its namespace",
     lambda v: [found for found in v.objects if found["kind"] != "Namespace"]
     == [without_helm(found) for found in VARIANTS["default"].objects],
     put(Variant.pod, "hostPID", True)),
    ("install", "no object claims to be managed by Helm, and there is no Helm test",
     lambda v: not v.tests and not any(HELMS & found["metadata"]["labels"].keys() for found in v.objects),
     put(lambda v: v.objects[0]["metadata"]["labels"], "app.kubernetes.io/managed-by", "Helm")),
    ("kustomized", "it is what install.yaml installs",
     lambda v: in_order(v.objects) == in_order(VARIANTS["install"].objects),
     put(Variant.pod, "hostPID", True)),
    ("overlay", "an overlay names another image",
     lambda v: v.container()["image"] == f"registry.example/hugetlb-exporter:{version()}",
     put(Variant.container, "image", f"{IMAGE}:{version()}")),
    ("default", "its test is no exporter to the DaemonSet and to Services",
     lambda v: not any(selects(selector, v.test("Pod")) for selector in selectors(v)) and selectors(v),
     lambda v: v.test("Pod")["metadata"]["labels"].update(pods_of(v)["metadata"]["labels"])),
    ("default", "its test asks the exporters",
     lambda v: selects(v.test("Service")["spec"]["selector"], pods_of(v))
     and f"http://{v.test('Service')['metadata']['name']}:10270" in v.test_container()["command"][-1],
     put(lambda v: v.test("Service")["metadata"], "name", "other")),
    ("default", "its test needs no privilege",
     lambda v: not v.test("Pod")["spec"]["automountServiceAccountToken"]
     and v.test("Pod")["spec"]["securityContext"]["runAsNonRoot"]
     and v.test_container()["securityContext"]
     == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True},
     put(lambda v: v.test_container()["securityContext"], "allowPrivilegeEscalation", True)),
    ("tls", "its test speaks TLS, and asks for nothing that needs a password",
     lambda v: "=https://" in v.test_container()["command"][-1] and "/metrics" not in v.test_container()["command"][-1],
     put(lambda v: v.test_container()["command"], -1, "wget http://hugetlb-exporter-test:10270/metrics")),
    ("fenced", "its test is let in",
     lambda v: [selects(who["podSelector"]["matchLabels"], v.test("Pod"))
                for who in v.test("NetworkPolicy")["spec"]["ingress"][0]["from"]] == [True]
     and selects(v.test("NetworkPolicy")["spec"]["podSelector"]["matchLabels"], pods_of(v)),
     lambda v: v.tests.remove(v.test("NetworkPolicy"))),
    ("fenced", "its test's image is from the registry of all images",
     lambda v: v.test_container()["image"] == "registry.example:5000/curlimages/curl:8.12.1",
     put(Variant.test_container, "image", "docker.io/curlimages/curl:8.12.1")),
    ("host-network", "its test's image is the one that was named",
     lambda v: v.test_container()["image"] == "curl-and-shell:8",
     put(Variant.test_container, "image", "docker.io/curl-and-shell:8")),
    ("host-network", "it is on the node's network, and looks names up there",
     lambda v: v.pod()["hostNetwork"] is True and v.pod()["dnsPolicy"] == "ClusterFirstWithHostNet",
     put(Variant.pod, "hostNetwork", False)),
    ("host-network", "its constraints allow that, and no other namespace of the node's",
     lambda v: [v.one("SecurityContextConstraints")[name]
                for name in ["allowHostNetwork", "allowHostPorts", "allowHostPID", "allowHostIPC"]]
     == [True, True, False, False],
     put(lambda v: v.one("SecurityContextConstraints"), "allowHostNetwork", False)),
    ("host-network", "it is on labelled nodes alone",
     lambda v: v.pod()["nodeSelector"] == {"kubernetes.io/os": "linux", "example.com/hugepages": "true"},
     put(lambda v: v.pod()["nodeSelector"], "example.com/hugepages", "false")),
    ("default", "the cluster says how names are looked up", lambda v: "dnsPolicy" not in v.pod(),
     put(Variant.pod, "dnsPolicy", "Default")),
    ("kubelet-names", "it may read the kubelet's pods and, as asked, its proxy",
     lambda v: v.one("ClusterRole")["rules"]
     == [{"apiGroups": [""], "resources": ["nodes/pods", "nodes/proxy"], "verbs": ["get"]}],
     put(lambda v: v.one("ClusterRole")["rules"][0], "verbs", ["*"])),
    ("kubelet-names", "it has its token", lambda v: v.pod()["automountServiceAccountToken"] is True,
     put(Variant.pod, "automountServiceAccountToken", False)),
    ("kubelet-names", "it sees two files of the node, read-only",
     lambda v: [path for path, _ in v.directories()] == ["/sys/fs/cgroup", "/var/lib/kubelet/pki/kubelet.crt"]
     and all_read_only(v), put(first_mount, "readOnly", False)),
    ("kubelet-names", "it knows the kubelet's own certificate by the node's name",
     lambda v: "--kubelet.server-name=$(NODE_NAME)" in v.container()["args"],
     lambda v: v.container()["args"].remove("--kubelet.server-name=$(NODE_NAME)")),
    ("default", "it says nothing to the API server",
     lambda v: not any(word.startswith("--kubernetes") for word in v.container()["args"]),
     lambda v: v.container()["args"].append("--kubernetes.events")),
    ("events", "it may create and patch Events, and nothing else",
     lambda v: v.one("ClusterRole")["rules"]
     == [{"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]}],
     put(lambda v: v.one("ClusterRole")["rules"][0], "verbs", ["*"])),
    ("events", "it has its token and makes Events without numbers of processes",
     lambda v: v.pod()["automountServiceAccountToken"] is True
     and [word for word in v.container()["args"] if word.startswith("--kubernetes")] == ["--kubernetes.events"],
     lambda v: v.container()["args"].append("--kubernetes.events-processes")),
    ("events", "it gains no other privilege",
     lambda v: user_is(v, 10270) and context(v)["capabilities"] == {"drop": ["ALL"]} and all_read_only(v),
     put(lambda v: context(v)["capabilities"], "add", ["SYS_PTRACE"])),
    ("events", "the way out leads to the API server alone",
     lambda v: v.one("NetworkPolicy")["spec"]["policyTypes"] == ["Ingress", "Egress"]
     and v.one("NetworkPolicy")["spec"]["egress"]
     == [{"ports": [{"port": port, "protocol": "TCP"} for port in [443, 6443]],
          "to": [{"ipBlock": {"cidr": "10.0.0.10/32"}}]}],
     put(lambda v: v.one("NetworkPolicy")["spec"]["egress"][0], "to", [])),
    ("fenced", "without Events there is no way out",
     lambda v: "Egress" in v.one("NetworkPolicy")["spec"]["policyTypes"]
     and "egress" not in v.one("NetworkPolicy")["spec"],
     put(lambda v: v.one("NetworkPolicy")["spec"], "egress", [{}])),
    ("mappings", "it is root with one capability",
     lambda v: user_is(v, 0) and v.pod()["hostPID"] and not context(v)["privileged"]
     and context(v)["capabilities"] == {"drop": ["ALL"], "add": ["SYS_PTRACE"]},
     put(lambda v: context(v)["capabilities"], "add", ["SYS_ADMIN"])),
    ("mappings", "it can write no directory of the node", all_read_only, put(first_mount, "readOnly", False)),
    ("witness", "the witness is user 0 with two capabilities, and no value gives it more",
     lambda v: witness(v)["securityContext"] == WITNESS,
     put(lambda v: witness(v)["securityContext"]["capabilities"], "add", ["SYS_ADMIN"])),
    ("witness", "it sees no directory of the node",
     lambda v: [mount["mountPath"] for mount in witness(v)["volumeMounts"]]
     == ["/witness", "/var/run/secrets/kubernetes.io/serviceaccount"],
     lambda v: witness(v)["volumeMounts"].append({"mountPath": "/host"})),
    ("witness", "what stands where a token would is empty",
     lambda v: [volume["emptyDir"]["medium"] for volume in v.pod()["volumes"] if volume["name"] == "witness-token"]
     == ["Memory"],
     lambda v: v.pod()["volumes"].clear()),
    ("witness", "it opens no port and is asked nothing",
     lambda v: not {"ports", "livenessProbe", "readinessProbe"} & witness(v).keys(),
     put(witness, "ports", [{"containerPort": 1}])),
    ("witness", "the exporter beside it stays what it is, and can't write what it reads",
     lambda v: v.pod()["securityContext"] == VARIANTS["default"].pod()["securityContext"]
     and context(v) == context(VARIANTS["default"])
     and [mount["readOnly"] for mount in v.container()["volumeMounts"] if mount["name"] == "witness-report"] == [True]
     and "--collector.witness=/witness" in v.container()["args"],
     put(context, "runAsUser", 0)),
    ("witness", "no process of the node is seen", lambda v: v.pod()["hostPID"] is False, put(Variant.pod, "hostPID", True)),
    ("witness", "its constraints allow two capabilities and user 0",
     lambda v: v.one("SecurityContextConstraints")["allowedCapabilities"] == ["BPF", "PERFMON"]
     and not v.one("SecurityContextConstraints")["allowPrivilegedContainer"],
     put(lambda v: v.one("SecurityContextConstraints"), "allowedCapabilities", ["SYS_ADMIN"])),
    ("scratch-probe", "it may write cgroups, and no log",
     lambda v: [mount["readOnly"] for _, mount in v.directories()] == [False, True, True],
     put(first_mount, "readOnly", True)),
    ("scratch-probe", "the kubelet would take it",
     lambda v: context(v)["privileged"] and context(v)["allowPrivilegeEscalation"] and user_is(v, 0),
     put(context, "allowPrivilegeEscalation", False)),
    ("guard", "the guard is user 0 without a capability, and no value gives it one",
     lambda v: guard(v)["securityContext"] == GUARDED,
     put(lambda v: guard(v)["securityContext"]["capabilities"], "add", ["SYS_ADMIN"])),
    ("guard", "it does what the values say",
     lambda v: guard(v)["args"][:6]
     == ["guard", "--guard.refuse=all", "--guard.rescue=on", "--guard.rescue-bound=off",
         "--guard.exclude-namespace=kube-system,ingress", "--guard.dry-run"],
     lambda v: guard(v)["args"].remove("--guard.dry-run")),
    ("guard", "it writes the cgroups of pods and its own state, and no more of the node",
     lambda v: may_write(v, "guard") == ["/sys/fs/cgroup/kubepods.slice", "/run/hugetlb-guard"]
     and all(mount["mountPropagation"] == "None" for _, mount in v.directories("guard")),
     put(lambda v: v.volume("guard-kubepods")["hostPath"], "path", "/sys/fs/cgroup")),
    ("guard", "a directory of cgroups that is not there is not made",
     lambda v: v.volume("guard-kubepods")["hostPath"]["type"] == "Directory",
     put(lambda v: v.volume("guard-kubepods")["hostPath"], "type", "DirectoryOrCreate")),
    ("guard", "besides it sees the names of pods",
     lambda v: [path for path, _ in v.directories("guard")]
     == ["/var/log/pods", "/sys/fs/cgroup/kubepods.slice", "/run/hugetlb-guard"],
     lambda v: guard(v)["volumeMounts"].pop()),
    ("guard", "the exporter beside it stays what it is",
     lambda v: v.pod()["securityContext"] == VARIANTS["default"].pod()["securityContext"]
     and context(v) == context(VARIANTS["default"]) and all_read_only(v),
     put(context, "runAsUser", 0)),
    ("guard", "the exporter reads its report and can't write it",
     lambda v: sees(v, "guard-report") == ["hugetlb-exporter", "guard"]
     and [mount["readOnly"] for mount in v.container()["volumeMounts"] if mount["name"] == "guard-report"] == [True]
     and "--collector.guard=/guard" in v.container()["args"],
     lambda v: v.container()["volumeMounts"].pop()),
    ("guard", "the token is the exporter's alone",
     lambda v: v.pod()["automountServiceAccountToken"] is False and sees(v, "token") == ["hugetlb-exporter"],
     put(Variant.pod, "automountServiceAccountToken", True)),
    ("guard", "no process of the node is seen", lambda v: v.pod()["hostPID"] is False, put(Variant.pod, "hostPID", True)),
    ("guard", "nobody asks for huge pages", lambda v: not any("hugepages" in name for name in asks_for(v)),
     put(lambda v: guard(v)["resources"]["limits"], "hugepages-2Mi", "2Mi")),
    ("guard", "it opens no port and is asked nothing",
     lambda v: not {"ports", "livenessProbe", "readinessProbe"} & guard(v).keys(),
     put(guard, "ports", [{"containerPort": 1}])),
    ("guard", "its constraints allow user 0 and nothing else",
     lambda v: v.one("SecurityContextConstraints")["runAsUser"] == {"type": "RunAsAny"}
     and not v.one("SecurityContextConstraints")["allowPrivilegedContainer"]
     and v.one("SecurityContextConstraints")["allowedCapabilities"] == [],
     put(lambda v: v.one("SecurityContextConstraints"), "allowedCapabilities", ["SYS_ADMIN"])),
    ("guard-v1", "without being told, it refuses the ungranted and rescues nobody",
     lambda v: guard(v)["args"][1:5]
     == ["--guard.refuse=ungranted", "--guard.rescue=off", "--guard.rescue-bound=on",
         "--guard.exclude-namespace=kube-system"] and "--guard.dry-run" not in guard(v)["args"],
     lambda v: guard(v)["args"].append("--guard.dry-run")),
    ("guard-v1", "it writes the cgroups of pods, never a hierarchy's root",
     lambda v: may_write(v, "guard") == ["/sys/fs/cgroup/hugetlb/kubepods", "/run/hugetlb-guard"],
     put(lambda v: v.volume("guard-kubepods")["hostPath"], "path", "/sys/fs/cgroup/hugetlb")),
    ("guard-v1", "without kubelet there is no token", lambda v: sees(v, "token") == [],
     lambda v: guard(v)["volumeMounts"].append({"name": "token"})),
    ("guard-undo", "what it wrote is undone before the exporter starts, and nothing guards",
     lambda v: v.pod()["initContainers"][0]["args"] == ["guard", "--undo"]
     and v.container("guard-undo")["securityContext"] == GUARDED
     and may_write(v, "guard-undo") == ["/sys/fs/cgroup/kubepods.slice", "/run/hugetlb-guard"]
     and [found["name"] for found in v.pod()["containers"]] == ["hugetlb-exporter"]
     and not any("guard" in word for word in v.container()["args"]),
     lambda v: v.pod()["containers"].append({"name": "guard"})),
    ("default", "there is one container", lambda v: [found["name"] for found in v.containers()] == ["hugetlb-exporter"],
     lambda v: v.pod()["containers"].append({"name": "guard"})),
    ("v1-host", "each hierarchy is mounted for itself, where it is looked for",
     lambda v: [mount["mountPath"] for _, mount in v.directories()][:2]
     == ["/host/sys/fs/cgroup/hugetlb", "/host/sys/fs/cgroup/cpuset"] and all_read_only(v),
     put(first_mount, "mountPath", "/host/hugetlb")),
    ("tls", "the kubelet and Prometheus speak TLS",
     lambda v: {v.container()[probe]["httpGet"]["scheme"] for probe in ["livenessProbe", "readinessProbe"]} == {"HTTPS"}
     and v.endpoint()["scheme"] == "https",
     put(lambda v: v.container()["livenessProbe"]["httpGet"], "scheme", "HTTP")),
    ("operator", "the labels of the pods observed are kept",
     lambda v: v.endpoint()["honorLabels"] is True and v.endpoint()["interval"] == "15s",
     put(Variant.endpoint, "honorLabels", False)),
    ("operator", "a scrape is bounded", lambda v: v.one("PodMonitor")["spec"]["sampleLimit"] >= 10000,
     put(lambda v: v.one("PodMonitor")["spec"], "sampleLimit", 0)),
    ("operator", "the rules are those of the file", lambda v: v.one("PrometheusRule")["spec"] == rules(),
     put(lambda v: v.one("PrometheusRule")["spec"]["groups"][0], "name", "other")),
    ("operator", "the dashboards are those of the files",
     lambda v: dashboards(v)
     == {path.name: json.loads(path.read_text()) for path in (ROOT / "dashboards").glob("*.json")},
     lambda v: v.objects.remove(v.of("ConfigMap")[0])),
    ("operator", "kubectl apply can keep a copy of each",
     lambda v: all(len(json.dumps(found)) < 262144 for found in v.objects),
     put(lambda v: v.of("ConfigMap")[0]["data"], "more", "x" * 262144)),
    ("operator", "it needs no Service", lambda v: not v.of("Service"),
     lambda v: v.objects.append({"kind": "Service"})),
    ("service-monitor", "it finds the Service, and by it the pods",
     lambda v: selects(v.one("ServiceMonitor")["spec"]["selector"]["matchLabels"], v.one("Service"))
     and selects(v.one("Service")["spec"]["selector"], pods_of(v))
     and v.one("ServiceMonitor")["spec"]["namespaceSelector"]["matchNames"] == [v.one("Service")["metadata"]["namespace"]]
     and service_endpoint(v)["port"] in [port["name"] for port in v.one("Service")["spec"]["ports"]]
     and not v.of("PodMonitor"),
     put(lambda v: v.one("Service")["metadata"]["labels"], "app.kubernetes.io/name", "other")),
    ("service-monitor", "it scrapes as the PodMonitor does",
     lambda v: {**service_endpoint(v), "relabelings": None} == {**VARIANTS["operator"].endpoint(), "relabelings": None}
     and v.one("ServiceMonitor")["spec"]["sampleLimit"] == VARIANTS["operator"].one("PodMonitor")["spec"]["sampleLimit"],
     lambda v: service_endpoint(v).update(honorLabels=False)),
    ("service-monitor", "it is where and what the operator looks for",
     lambda v: v.one("ServiceMonitor")["metadata"]["namespace"] == "monitoring"
     and v.one("ServiceMonitor")["metadata"]["labels"]["release"] == "prometheus",
     put(lambda v: v.one("ServiceMonitor")["metadata"], "namespace", "hugetlb-exporter")),
    ("tailored", "the rules are those of the file, but for what was asked",
     lambda v: v.one("PrometheusRule")["spec"] == tailored_rules(),
     lambda v: v.alerts()["HugetlbWillCrash"]["labels"].pop("team")),
    ("tailored", "pods are muted as asked",
     lambda v: "--findings.mute-pod=prod/db-0,prod/cache-0:idle-grant" in v.container()["args"],
     lambda v: v.container().update(args=[])),
    ("tailored", "the dashboards ask for the job that is scraped",
     lambda v: set(re.findall(r'job="([^"]*)', json.dumps(dashboards(v)).replace("\\", ""))) == {"huge-pages"}
     and v.one("PodMonitor")["spec"]["jobLabel"] == "monitoring.example/job",
     lambda v: v.of("ConfigMap")[1]["data"].update(more='{"expr": "up{job=\\"hugetlb-exporter\\"}"}')),
    ("tailored", "objects of one's own are rendered",
     lambda v: [found["metadata"]["name"] for found in v.objects if found["metadata"]["name"].endswith("-extra")]
     == ["hugetlb-exporter-extra"] * 2,
     lambda v: v.objects.remove(v.one("Secret"))),
    ("fenced", "the runbooks are where the value says",
     lambda v: v.one("PrometheusRule")["spec"] == own_runbooks(rules(), "https://runbooks.example/$1"),
     put(lambda v: v.one("PrometheusRule"), "spec", rules())),
    ("fenced", "the image is the one that was named",
     lambda v: v.container()["image"] == "registry.example:5000/hugetlb-exporter/hugetlb-exporter@sha256:" + "0" * 64,
     put(Variant.container, "image", f"{IMAGE}:{version()}")),
    ("fenced", "all is in the namespace that was named",
     lambda v: {found["metadata"].get("namespace") for found in v.objects if found["kind"] != "Namespace"}
     == {"huge-pages"} == {v.one("Namespace")["metadata"]["name"]},
     put(lambda v: v.one("Service")["metadata"], "namespace", "default")),
]


def is_so(holds, variant):
    """What a check looks at may not even be there."""
    try:
        return holds(variant)
    except (IndexError, KeyError, TypeError, ValueError):
        return False


def check_all(failures):
    for name, what, holds, change in CHECKS:
        changed = Variant(copy.deepcopy(VARIANTS[name].rendered))
        if not is_so(holds, VARIANTS[name]):
            failures.append(f"{name}: not so: {what}")
            continue
        change(changed)
        if is_so(holds, changed):
            failures.append(f"{name}: this check can't fail: {what}")


def check_flags(failures):
    """Every flag and variable is one that the exporter has."""
    source = "".join(path.read_text() for path in (ROOT / "src/cli").rglob("*.rs"))

    def known(word):
        return f'"{word.removeprefix("--")}"' in source

    for name, variant in VARIANTS.items():
        words = [word.split("=")[0] for found in variant.containers() for word in found["args"]]
        words += [variable["name"] for found in variant.containers() for variable in found["env"]]
        ours = [word for word in words if word.startswith(("--", "HUGETLB_EXPORTER_"))]
        failures += [f"{name}: the exporter has no {word}" for word in ours if not known(word)]
    if known("--no.such-flag"):
        failures.append("this check can't fail: every flag is the exporter's")


def check_schemas(failures):
    """Known to the oldest and to the newest Kubernetes that the schemas are for, with no field too many."""
    oldest, newest = all_versions()[0], all_versions()[-1]
    print(f"schemas of Kubernetes {oldest} and {newest}")
    for name, variant in VARIANTS.items():
        for found in variant.rendered:
            if found["kind"] in CUSTOM:
                continue
            for release in [oldest, newest]:
                try:
                    kubernetes_validate.validate(found, release, strict=True)
                except kubernetes_validate.ValidationError as error:
                    failures.append(f"{name}: {found['kind']} for {release}: {error.message}")
    misspelt = copy.deepcopy(VARIANTS["default"].one("DaemonSet"))
    misspelt["spec"]["template"]["spec"]["hostPid"] = False
    try:
        kubernetes_validate.validate(misspelt, newest, strict=True)
        failures.append("the schemas let a misspelt field pass")
    except kubernetes_validate.ValidationError:
        pass


def undescribed(schema, path=()):
    """The properties of a schema of values that have no description."""
    for name, parts in schema.get("properties", {}).items():
        if not parts.get("description"):
            yield ".".join((*path, name))
        yield from undescribed(parts, (*path, name))


def check_descriptions(failures):
    schema = json.loads((ROOT / "manifests/chart/values.schema.json").read_text())
    failures += [f"values.schema.json does not describe {name}" for name in undescribed(schema)]
    del schema["properties"]["image"]["properties"]["tag"]["description"]
    if list(undescribed(schema)) != ["image.tag"]:
        failures.append("this check can't fail: every value is described")


VARIANTS = {
    path.stem: Variant([found for found in yaml.safe_load_all(path.read_text()) if found])
    for path in sorted(Path(sys.argv[1]).glob("*.yaml"))
}

if __name__ == "__main__":
    found = []
    for check in [check_all, check_flags, check_schemas, check_descriptions]:
        check(found)
    print("\n".join(found) or f"{len(VARIANTS)} variants, {len(CHECKS)} checks that can fail")
    sys.exit(bool(found))
