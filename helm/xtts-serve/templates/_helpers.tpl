{{/* Names and labels of everything, and what must hold before anything is rendered. */}}

{{/* At most 40 characters: KubeRay allows 47 to a RayService, and suffixes follow. */}}
{{- define "xtts.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $long := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $long .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* What selectors go by. `app.kubernetes.io/name` is KubeRay's own on Ray pods, and its services select by it. */}}
{{- define "xtts.selectorLabels" -}}
app.kubernetes.io/part-of: xtts-serve
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "xtts.labels" -}}
{{ include "xtts.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "xtts.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "xtts.labels" . | nindent 2 }}
{{- end -}}

{{- define "xtts.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ $tag }}{{ end }}
{{- end -}}

{{/* The Ray in the image. KubeRay goes by it, so it has to be told. */}}
{{- define "xtts.rayVersion" -}}
2.60.0
{{- end -}}

{{- define "xtts.serviceAccountName" -}}
{{- default (ternary (include "xtts.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* Refuses values that render into something that cannot run. */}}
{{- define "xtts.check" -}}
{{- $values := .Values -}}
{{- range $use, $model := dict "settings.model" (ternary "xtts_v2" "" (not (empty (include "xtts.hasPublished" .)))) "finetune.base" (ternary "" $values.finetune.base (eq $values.finetune.kind "none")) -}}
{{- if and (eq $model "xtts_v2") (not $values.settings.accept_cpml) -}}
{{- fail (printf "%s is xtts_v2, whose licence (CPML, https://tts-hub.github.io/cpml) allows non-commercial use only. Read it, and if you agree, set settings.accept_cpml=true." $use) -}}
{{- end -}}
{{- end -}}
{{- if gt (int $values.engine.minReplicas) (int $values.engine.maxReplicas) -}}
{{- fail "engine.minReplicas is above engine.maxReplicas" -}}
{{- end -}}
{{- if eq $values.mode "rayservice" -}}
{{- if and (not $values.rayservice.autoscaler.enabled) (ne (int $values.engine.minReplicas) (int $values.engine.maxReplicas)) -}}
{{- fail "engine.minReplicas and engine.maxReplicas differ, and nothing would add worker pods: set rayservice.autoscaler.enabled=true" -}}
{{- end -}}
{{- if and (eq $values.rayservice.auth.mode "disabled") (not $values.networkPolicy.enabled) -}}
{{- fail "rayservice.auth.mode is disabled, so anyone in the cluster could run code in Ray: set networkPolicy.enabled=true" -}}
{{- end -}}
{{- if and $values.rayservice.gcsFaultTolerance.enabled (not $values.rayservice.gcsFaultTolerance.redisAddress) -}}
{{- fail "rayservice.gcsFaultTolerance.enabled needs rayservice.gcsFaultTolerance.redisAddress" -}}
{{- end -}}
{{- end -}}
{{- if and (eq $values.weights.source "initContainer") (include "xtts.hasDirectory" .) -}}
{{- fail "weights.source=initContainer fetches xtts_v2; a directory among the models needs claim, hostPath or baked" -}}
{{- end -}}
{{- if and (include "xtts.hasDirectory" .) (eq $values.weights.source "claim") (not $values.weights.claim.existingClaim) -}}
{{- fail "a directory is among the models, and a new claim would be empty: set weights.claim.existingClaim" -}}
{{- end -}}
{{- if and (ne $values.finetune.kind "none") (not $values.finetune.existingClaim) -}}
{{- fail "finetune.kind needs finetune.existingClaim, with the recordings" -}}
{{- end -}}
{{- if and $values.voices.claim.enabled $values.voices.objectStore.url -}}
{{- fail "voices.claim.enabled and voices.objectStore.url both say where voices are kept: take one of them away" -}}
{{- end -}}
{{- if and $values.voices.objectStore.existingSecret (not $values.voices.objectStore.url) -}}
{{- fail "voices.objectStore.existingSecret is of no use without voices.objectStore.url" -}}
{{- end -}}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.enabled needs httpRoute.parentRefs" -}}
{{- end -}}
{{- end -}}
