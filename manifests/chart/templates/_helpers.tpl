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

{{- define "hugetlb-exporter.image" -}}
{{- $registry := .Values.image.registry | default .Values.global.imageRegistry }}
{{- $name := .Values.image.repository }}
{{- if $registry }}
{{- $name = printf "%s/%s" (trimSuffix "/" $registry) $name }}
{{- end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $name .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $name (.Values.image.tag | default .Chart.AppVersion) }}
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
