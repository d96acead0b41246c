{{/* The directory where the witness leaves what it saw for the exporter, in both containers. */}}
{{- define "hugetlb-exporter.witnessReport" -}}
/witness
{{- end }}

{{/* Refuses what would make of the witness something else than it is said to be. */}}
{{- define "hugetlb-exporter.witnessCheck" -}}
{{- if and .Values.witness.enabled .Values.mappings.enabled }}
{{- fail "witness.enabled: not with mappings.enabled: its hostPID would show every process of the node to the witness, which is user 0" }}
{{- end }}
{{- end }}

{{/* The witness's container. User 0, since an added capability has no effect for another user; no value changes that. */}}
{{- define "hugetlb-exporter.witnessContainer" -}}
name: witness
image: {{ include "hugetlb-exporter.image" (dict "root" . "image" .Values.image "tag" .Chart.AppVersion) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
- witness
- --witness.report={{ include "hugetlb-exporter.witnessReport" . }}
- --log.level={{ .Values.log.level }}
- --log.format={{ .Values.log.format }}
env: []
resources:
  {{- toYaml .Values.witness.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
    add: [BPF, PERFMON]
  privileged: false
  readOnlyRootFilesystem: true
  runAsUser: 0
  runAsGroup: 0
  runAsNonRoot: false
  seccompProfile:
    type: RuntimeDefault
volumeMounts:
- name: witness-report
  mountPath: {{ include "hugetlb-exporter.witnessReport" . }}
{{- if .Values.kubelet.enabled }}
# The exporter's token is not for it: where something is mounted, the token is not.
- name: witness-token
  mountPath: /var/run/secrets/kubernetes.io/serviceaccount
  readOnly: true
{{- end }}
{{- end }}

{{/* The witness's volumes, in memory: neither container waits for a disk. */}}
{{- define "hugetlb-exporter.witnessVolumes" -}}
- name: witness-report
  emptyDir:
    medium: Memory
    sizeLimit: 4Mi
{{- if .Values.kubelet.enabled }}
- name: witness-token
  emptyDir:
    medium: Memory
    sizeLimit: 4Ki
{{- end }}
{{- end }}
