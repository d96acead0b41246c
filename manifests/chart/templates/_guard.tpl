{{/* "true" where the guard's container runs. */}}
{{- define "hugetlb-exporter.guards" -}}
{{- if and .Values.guard.enabled (not .Values.guard.undo) }}true{{ end }}
{{- end }}

{{/* The directory where the guard leaves its report for the exporter, in both containers. */}}
{{- define "hugetlb-exporter.guardReport" -}}
/guard
{{- end }}

{{/* Refuses what would make of the guard something else than it is said to be. */}}
{{- define "hugetlb-exporter.guardCheck" -}}
{{- if and .Values.guard.undo (not .Values.guard.enabled) }}
{{- fail "guard.undo: there is no guard to undo: it takes guard.enabled" }}
{{- end }}
{{- if .Values.guard.enabled }}
{{- if .Values.mappings.enabled }}
{{- fail "guard.enabled: not with mappings.enabled: its hostPID would show every process of the node to the guard, which is user 0" }}
{{- end }}
{{- if and .Values.guard.excludeNamespaces (not .Values.hostPaths.podLogs) }}
{{- fail "guard.excludeNamespaces: without hostPaths.podLogs no pod has a name, and none would be guarded: set one of the two" }}
{{- end }}
{{- end }}
{{- end }}

{{/* User 0, since limits belong to root, and nothing else of root: no value changes that. */}}
{{- define "hugetlb-exporter.guardSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
privileged: false
readOnlyRootFilesystem: true
runAsUser: 0
runAsGroup: 0
runAsNonRoot: false
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The guard's container: dict "root" (the chart's context) "name" "args" (a list). */}}
{{- define "hugetlb-exporter.guardContainer" -}}
{{- $values := .root.Values }}
name: {{ .name }}
image: {{ include "hugetlb-exporter.image" (dict "root" .root "image" $values.image "tag" .root.Chart.AppVersion) }}
imagePullPolicy: {{ $values.image.pullPolicy }}
args:
- guard
{{- range .args }}
- {{ quote . }}
{{- end }}
env:
# Variables rather than flags: what is run in this container by hand (guard --undo, guard --pause) finds them, too.
- name: HUGETLB_EXPORTER_GUARD_KUBEPODS
  value: /host{{ $values.guard.kubepods }}
- name: HUGETLB_EXPORTER_GUARD_STATE
  value: /run/hugetlb-guard
resources:
  {{- toYaml $values.guard.resources | nindent 2 }}
securityContext:
  {{- include "hugetlb-exporter.guardSecurityContext" .root | nindent 2 }}
volumeMounts:
- name: guard-kubepods
  mountPath: /host{{ $values.guard.kubepods }}
  mountPropagation: None
- name: guard-state
  mountPath: /run/hugetlb-guard
  mountPropagation: None
- name: guard-report
  mountPath: {{ include "hugetlb-exporter.guardReport" .root }}
{{- if $values.hostPaths.podLogs }}
- name: pod-logs
  mountPath: /var/log/pods
  readOnly: true
  mountPropagation: None
{{- end }}
{{- end }}

{{/* What the guard is to do, as a list in JSON. */}}
{{- define "hugetlb-exporter.guardArguments" -}}
{{- $guard := .Values.guard }}
{{- $args := list (printf "--guard.refuse=%s" (ternary "off" (toString $guard.refuse) (kindIs "bool" $guard.refuse))) }}
{{- $args = append $args (printf "--guard.rescue=%s" (ternary "on" "off" $guard.rescue)) }}
{{- $args = append $args (printf "--guard.rescue-bound=%s" (ternary "on" "off" $guard.rescueBound)) }}
{{- $args = append $args (printf "--guard.exclude-namespace=%s" (join "," $guard.excludeNamespaces)) }}
{{- if $guard.dryRun }}
{{- $args = append $args "--guard.dry-run" }}
{{- end }}
{{- $args = append $args (printf "--guard.report=%s" (include "hugetlb-exporter.guardReport" .)) }}
{{- $args = concat $args (list (printf "--log.level=%s" .Values.log.level) (printf "--log.format=%s" .Values.log.format)) }}
{{- concat $args $guard.extraArgs | toJson }}
{{- end }}

{{/* The token, for the exporter's container alone: what the kubelet mounts by itself it mounts into every container. */}}
{{- define "hugetlb-exporter.tokenVolume" -}}
name: token
projected:
  # 0440; the group is fsGroup.
  defaultMode: 288
  sources:
  - serviceAccountToken:
      path: token
      expirationSeconds: 3607
  - configMap:
      name: kube-root-ca.crt
      items:
      - key: ca.crt
        path: ca.crt
  - downwardAPI:
      items:
      - path: namespace
        fieldRef:
          fieldPath: metadata.namespace
{{- end }}

{{/* The guard's volumes. */}}
{{- define "hugetlb-exporter.guardVolumes" -}}
# One that is not there must not be made: below a hierarchy a new directory is a new cgroup.
- name: guard-kubepods
  hostPath:
    path: {{ .Values.guard.kubepods }}
    type: Directory
- name: guard-state
  hostPath:
    path: /run/hugetlb-guard
    type: DirectoryOrCreate
# In memory: neither container waits for a disk.
- name: guard-report
  emptyDir:
    medium: Memory
    sizeLimit: 4Mi
{{- end }}
