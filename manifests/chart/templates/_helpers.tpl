{{- define "hugetlb-exporter.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "hugetlb-exporter.fullname" -}}
{{- $name := include "hugetlb-exporter.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "hugetlb-exporter.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{- define "hugetlb-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "hugetlb-exporter.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* An image's full name: dict "image" (of the values) "root" (the chart's context) "tag" (if the image has none). */}}
{{- define "hugetlb-exporter.image" -}}
{{- $name := .image.repository }}
{{- with .root.Values.global.imageRegistry | default .image.registry }}
{{- $name = printf "%s/%s" (trimSuffix "/" .) $name }}
{{- end }}
{{- if .image.digest }}
{{- printf "%s@%s" $name .image.digest }}
{{- else }}
{{- printf "%s:%s" $name (.image.tag | default .tag) }}
{{- end }}
{{- end }}

{{/* What may never change: a DaemonSet's selector is fixed once it is made. */}}
{{- define "hugetlb-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "hugetlb-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "hugetlb-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "hugetlb-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | trimAll "-._" | quote }}
app.kubernetes.io/component: metrics
app.kubernetes.io/part-of: hugetlb-exporter
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* "true" where the container has to own the node. */}}
{{- define "hugetlb-exporter.privileged" -}}
{{- if eq .Values.probe.target "scratch" }}true{{ end }}
{{- end }}

{{/* "true" where the user has to be 0. */}}
{{- define "hugetlb-exporter.root" -}}
{{- if or .Values.mappings.enabled (include "hugetlb-exporter.privileged" .) }}true{{ end }}
{{- end }}

{{- define "hugetlb-exporter.podSecurityContext" -}}
{{- $context := deepCopy .Values.securityContext }}
{{- if include "hugetlb-exporter.root" . }}
{{- $context = mergeOverwrite $context (dict "runAsUser" 0 "runAsGroup" 0 "runAsNonRoot" false) }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{- define "hugetlb-exporter.containerSecurityContext" -}}
{{- $context := deepCopy .Values.containerSecurityContext }}
{{- if .Values.mappings.enabled }}
{{- $_ := set $context.capabilities "add" (list "SYS_PTRACE") }}
{{- end }}
{{- if include "hugetlb-exporter.privileged" . }}
{{- /* A private cgroup namespace lets no process into a cgroup beside it, and only a privileged container has none. */}}
{{- $context = mergeOverwrite $context (dict "privileged" true "allowPrivilegeEscalation" true) }}
{{- end }}
{{- toYaml $context }}
{{- end }}

{{/* The kubelet's question to /-/healthy or /-/ready. */}}
{{- define "hugetlb-exporter.question" -}}
httpGet:
  path: {{ .path }}
  port: {{ .root.Values.service.portName }}
  scheme: {{ upper .root.Values.webConfig.scheme }}
{{- with .times }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Refuses values that would not do what they say. */}}
{{- define "hugetlb-exporter.check" -}}
{{- if and .Values.hostNetwork .Values.networkPolicy.enabled }}
{{- fail "networkPolicy.enabled: a NetworkPolicy has no effect on pods with hostNetwork" }}
{{- end }}
{{- if and .Values.prometheus.podMonitor.enabled .Values.prometheus.serviceMonitor.enabled }}
{{- fail "prometheus: podMonitor and serviceMonitor would both scrape every exporter: enable one of them" }}
{{- end }}
{{- include "hugetlb-exporter.guardCheck" . }}
{{- end }}

{{/* The value of the label `job` on the exporter's series: of the label that jobLabel names, if it names one. */}}
{{- define "hugetlb-exporter.job" -}}
{{- $labels := merge (include "hugetlb-exporter.selectorLabels" . | fromYaml) .Values.podLabels }}
{{- $monitor := .Values.prometheus.podMonitor }}
{{- if .Values.prometheus.serviceMonitor.enabled }}
{{- $labels = merge (include "hugetlb-exporter.labels" . | fromYaml) .Values.service.labels }}
{{- $monitor = .Values.prometheus.serviceMonitor }}
{{- end }}
{{- if and $monitor.enabled $monitor.jobLabel }}
{{- get $labels $monitor.jobLabel | required (printf "jobLabel: nothing that is scraped has the label %s" $monitor.jobLabel) }}
{{- else }}hugetlb-exporter
{{- end }}
{{- end }}

{{/* How a PodMonitor or a ServiceMonitor scrapes: dict "monitor" (of the values), "root" (the chart's context), "drop" (labels
that the operator sets to what the exporter's own pod is). */}}
{{- define "hugetlb-exporter.endpoint" -}}
port: {{ .root.Values.service.portName }}
scheme: {{ .root.Values.webConfig.scheme }}
honorLabels: {{ .monitor.honorLabels }}
interval: {{ .monitor.interval }}
scrapeTimeout: {{ .monitor.scrapeTimeout }}
{{- with .monitor.tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
relabelings:
# A series is known by its node. The exporter's own pod is not part of it: it has another name after every rollout,
# and each alert would be resolved and sent anew. A series without a pod is about the node, not about that pod.
- action: replace
  sourceLabels: [__meta_kubernetes_pod_node_name]
  targetLabel: node
- action: replace
  sourceLabels: [__meta_kubernetes_pod_node_name]
  targetLabel: instance
{{- if not .monitor.jobLabel }}
# HugetlbExporterDown asks for this one.
- action: replace
  replacement: hugetlb-exporter
  targetLabel: job
{{- end }}
- action: labeldrop
  regex: {{ .drop }}
{{- with .monitor.relabelings }}
{{ toYaml . }}
{{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
{{ toYaml . }}
{{- end }}
{{- end }}
