{{/* Parts of pods. Each takes the root context, or a list of it and what differs. */}}

{{/* (list root group): labels of a pod. Nothing here may change with the chart's version: see docs/kubernetes.md. */}}
{{- define "xtts.podLabels" -}}
{{ include "xtts.selectorLabels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* (list root group values): what every pod of ours has, and where it may run. */}}
{{- define "xtts.podSpec" -}}
{{ include "xtts.podDefaults" (index . 0) }}
{{- with include "xtts.placement" . | trim }}
{{ . }}
{{- end }}
{{- end -}}

{{/* (list root group values) */}}
{{- define "xtts.placement" -}}
{{- $root := index . 0 -}}{{- $group := index . 1 -}}{{- $values := index . 2 -}}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $selector := dict "matchLabels" (include "xtts.podLabels" (list $root $group) | fromYaml) }}
  {{- range . }}
  - {{ merge (deepCopy .) (dict "labelSelector" $selector) | toYaml | nindent 4 | trim }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}

{{- define "xtts.podDefaults" -}}
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end -}}

{{/* Without the token of an account that has no rights. */}}
{{- define "xtts.account" -}}
serviceAccountName: {{ include "xtts.serviceAccountName" . }}
automountServiceAccountToken: false
{{- end -}}

{{/* (list root name): the head of a container. */}}
{{- define "xtts.container" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 }}
image: {{ include "xtts.image" $root }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml $root.Values.containerSecurityContext | nindent 2 }}
{{- end -}}

{{/* The root file system is read-only: what is written goes to /tmp, HOME included. */}}
{{- define "xtts.baseEnv" -}}
- name: HOME
  value: /tmp
- name: HF_HUB_DISABLE_TELEMETRY
  value: "1"
{{- end -}}

{{- define "xtts.serviceEnv" -}}
{{ include "xtts.baseEnv" . }}
- name: RAY_USAGE_STATS_ENABLED
  value: "0"
- name: RAY_DEDUP_LOGS
  value: "0"
- name: RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH
  value: serve_app.deployment:proxy_middlewares
# What autoscaling goes by is reported this often; the default of 10 s would hide a queue for as long.
- name: RAY_SERVE_REPLICA_AUTOSCALING_METRIC_PUSH_INTERVAL_S
  value: "1.0"
- name: RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S
  value: "1.0"
# Proxy, ingress and engine speak gRPC; recordings are larger than its default of 4 MiB.
- name: RAY_SERVE_USE_GRPC_BY_DEFAULT
  value: "1"
- name: RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH
  value: "2147483647"
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Credentials for the object store, of who reads and writes voices, and how to reach it. */}}
{{- define "xtts.objectStoreEnvFrom" -}}
{{- with .Values.voices.objectStore.existingSecret -}}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end -}}
{{- end -}}

{{/* (list root device resources): with the GPU that `cuda` needs. */}}
{{- define "xtts.resources" -}}
{{- $root := index . 0 -}}{{- $resources := deepCopy (index . 2) -}}
{{- if eq (index . 1) "cuda" -}}
{{- $gpu := dict $root.Values.engine.gpuResource "1" -}}
{{- $resources = merge $resources (dict "limits" $gpu "requests" $gpu) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{- define "xtts.tmpVolume" -}}
- name: tmp
  emptyDir: {}
{{- end -}}

{{- define "xtts.tmpMount" -}}
- name: tmp
  mountPath: /tmp
{{- end -}}

{{- define "xtts.apiKeysVolume" -}}
{{- if .Values.apiKeys.existingSecret -}}
- name: api-keys
  secret:
    secretName: {{ .Values.apiKeys.existingSecret }}
    defaultMode: 0440
{{- end -}}
{{- end -}}

{{- define "xtts.apiKeysMount" -}}
{{- if .Values.apiKeys.existingSecret -}}
- name: api-keys
  mountPath: /etc/xtts-serve/api-keys
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "xtts.weightsClaim" -}}
{{- default (printf "%s-weights" (include "xtts.fullname" .)) .Values.weights.claim.existingClaim -}}
{{- end -}}

{{- define "xtts.voicesClaim" -}}
{{- default (printf "%s-voices" (include "xtts.fullname" .)) .Values.voices.claim.existingClaim -}}
{{- end -}}

{{- define "xtts.jobsClaim" -}}
{{- default (printf "%s-jobs" (include "xtts.fullname" .)) .Values.jobs.claim.existingClaim -}}
{{- end -}}

{{/* Where HTTP replicas keep jobs; nothing where there is no claim. */}}
{{- define "xtts.jobsVolume" -}}
{{- if .Values.jobs.claim.enabled -}}
- name: jobs
  persistentVolumeClaim:
    claimName: {{ include "xtts.jobsClaim" . }}
{{- end -}}
{{- end -}}

{{- define "xtts.jobsMount" -}}
{{- if .Values.jobs.claim.enabled -}}
- name: jobs
  mountPath: /data/jobs
{{- end -}}
{{- end -}}

{{/* /data/models of a pod that loads weights. */}}
{{- define "xtts.weightsVolume" -}}
- name: models
  {{- if eq .Values.weights.source "claim" }}
  persistentVolumeClaim:
    claimName: {{ include "xtts.weightsClaim" . }}
  {{- else if eq .Values.weights.source "hostPath" }}
  hostPath:
    path: {{ .Values.weights.hostPath.path }}
    type: Directory
  {{- else }}
  emptyDir:
    sizeLimit: {{ .Values.weights.initContainer.sizeLimit }}
  {{- end }}
{{- end -}}

{{/* The claim that engines and ingresses share; nothing where there is none. */}}
{{- define "xtts.sharedVoicesVolume" -}}
{{- if and .Values.voices.claim.enabled (not .Values.voices.objectStore.url) -}}
- name: voices
  persistentVolumeClaim:
    claimName: {{ include "xtts.voicesClaim" . }}
{{- end -}}
{{- end -}}

{{- define "xtts.sharedVoicesMount" -}}
{{- if and .Values.voices.claim.enabled (not .Values.voices.objectStore.url) -}}
- name: voices
  mountPath: /data/voices
{{- end -}}
{{- end -}}

{{/* Volumes of a pod with an engine. */}}
{{- define "xtts.engineVolumes" -}}
{{ include "xtts.tmpVolume" . }}
{{- with include "xtts.sharedVoicesVolume" . }}
{{ . }}
{{- end }}
{{- if not (or .Values.voices.objectStore.url .Values.voices.claim.enabled) }}
- name: voices
  emptyDir:
    sizeLimit: 2Gi
{{- end }}
{{- if and (include "xtts.needsWeights" .) (ne .Values.weights.source "baked") }}
{{ include "xtts.weightsVolume" . }}
{{- end }}
{{- end -}}

{{- define "xtts.engineMounts" -}}
{{ include "xtts.tmpMount" . }}
{{- if not .Values.voices.objectStore.url }}
- name: voices
  mountPath: /data/voices
{{- end }}
{{- if and (include "xtts.needsWeights" .) (ne .Values.weights.source "baked") }}
- name: models
  mountPath: /data/models
  readOnly: true
{{- end }}
{{- end -}}

{{/* Before an engine starts: its weights are there, or it waits for the Job that fetches them. */}}
{{- define "xtts.weightsInitContainers" -}}
{{- if include "xtts.hasPublished" . -}}
{{- if has .Values.weights.source (list "initContainer" "hostPath") -}}
initContainers:
  - {{ include "xtts.downloadContainer" . | nindent 4 | trim }}
{{- else if and (eq .Values.weights.source "claim") .Values.weights.download.enabled -}}
initContainers:
  - {{ include "xtts.container" (list . "wait-for-weights") | nindent 4 | trim }}
    args:
      - bash
      - -c
      - until test -f /data/models/xtts_v2/verified.json; do echo waiting for the download Job; sleep 5; done
    resources:
      {{- toYaml .Values.weights.download.resources | nindent 6 }}
    volumeMounts:
      - name: models
        mountPath: /data/models
        readOnly: true
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Fetches xtts_v2 into /data/models; does nothing where it is there. */}}
{{- define "xtts.downloadContainer" -}}
{{ include "xtts.container" (list . "download") }}
args: [python, -m, serve_app, download]
env:
  {{- include "xtts.baseEnv" . | nindent 2 }}
  - name: XTTS_MODEL
    value: xtts_v2
  - name: XTTS_ACCEPT_CPML
    value: {{ .Values.settings.accept_cpml | quote }}
  - name: XTTS_MODEL_CACHE
    value: /data/models
  {{- include "xtts.hubEnv" . | nindent 2 }}
resources:
  {{- toYaml .Values.weights.download.resources | nindent 2 }}
volumeMounts:
  {{- include "xtts.tmpMount" . | nindent 2 }}
  - name: models
    mountPath: /data/models
{{- end -}}

{{- define "xtts.hubEnv" -}}
{{- with .Values.weights.download.endpoint }}
- name: HF_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- if .Values.weights.hubToken.existingSecret }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .Values.weights.hubToken.existingSecret }}
      key: {{ .Values.weights.hubToken.key }}
{{- end }}
{{- end -}}

{{/* Before a worker pod ends: Ray moves its replicas elsewhere, and their streams may finish. */}}
{{- define "xtts.drain" -}}
preStop:
  exec:
    command:
      - bash
      - -c
      - |
        ray drain-node --reason DRAIN_NODE_REASON_PREEMPTION --reason-message "the pod ends" \
          --deadline-remaining-seconds {{ int .Values.settings.shutdown_timeout_s }} || sleep 5
        for second in $(seq {{ int .Values.settings.shutdown_timeout_s }}); do
          grep -qsa 'ray::[S]erveReplica' /proc/[0-9]*/cmdline || exit 0
          sleep 1
        done
{{- end -}}
