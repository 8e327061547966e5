{{/* What the service is told: fields of `Settings`, as arguments of the Ray application or as variables. */}}

{{/* Not "" where `xtts_v2` is among the models. */}}
{{- define "xtts.hasPublished" -}}
{{- range append (values (default dict .Values.settings.extra_models)) .Values.settings.model -}}
{{- if eq . "xtts_v2" }}published{{ end -}}
{{- end -}}
{{- end -}}

{{/* Not "" where a directory is among the models. */}}
{{- define "xtts.hasDirectory" -}}
{{- range append (values (default dict .Values.settings.extra_models)) .Values.settings.model -}}
{{- if hasPrefix "/" . }}directory{{ end -}}
{{- end -}}
{{- end -}}

{{/* `weights` or "": whether a model has weights that do not come along. */}}
{{- define "xtts.needsWeights" -}}
{{- if or (include "xtts.hasPublished" .) (include "xtts.hasDirectory" .) }}weights{{ end -}}
{{- end -}}

{{/* Where the service looks for weights it fetched. */}}
{{- define "xtts.modelCache" -}}
{{- if not (include "xtts.needsWeights" .) }}/tmp/models{{ else if eq .Values.weights.source "baked" }}{{ .Values.weights.baked.path }}{{ else }}/data/models{{ end -}}
{{- end -}}

{{/* Fields that do not depend on the mode, as YAML. */}}
{{- define "xtts.settings" -}}
{{- $settings := merge (dict
  "device" .Values.engine.device
  "model_cache" (include "xtts.modelCache" .)) .Values.settings -}}
{{- if .Values.voices.objectStore.url -}}
{{- $settings = set $settings "voice_url" .Values.voices.objectStore.url -}}
{{- else -}}
{{- $settings = set $settings "voice_dir" "/data/voices" -}}
{{- end -}}
{{- /* What one pod keeps for itself no other finds: then users make no voices, and send no jobs. */}}
{{- if not (or .Values.voices.objectStore.url .Values.voices.claim.enabled (hasKey .Values.settings "max_voices")) -}}
{{- $settings = set $settings "max_voices" 0 -}}
{{- end -}}
{{- if .Values.jobs.claim.enabled -}}
{{- $settings = set $settings "job_dir" "/data/jobs" -}}
{{- else if not (hasKey .Values.settings "max_jobs") -}}
{{- $settings = set $settings "max_jobs" 0 -}}
{{- end -}}
{{- if .Values.apiKeys.existingSecret -}}
{{- $settings = set $settings "api_keys_file" (printf "/etc/xtts-serve/api-keys/%s" .Values.apiKeys.key) -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* The one place of replica bounds: Serve's, and through `xtts.numWorkers` the worker groups'. */}}
{{- define "xtts.rayArgs" -}}
{{- $args := merge (dict
  "min_engine_replicas" (int .Values.engine.minReplicas)
  "max_engine_replicas" (int .Values.engine.maxReplicas)
  "num_ingress_replicas" (int .Values.ingressWorkers.replicas)) (include "xtts.settings" . | fromYaml) -}}
{{- if eq .Values.engine.device "cuda" -}}
{{- $args = set $args "num_gpus_per_engine" (include "xtts.gpuShare" . | float64) -}}
{{- end -}}
{{- toYaml $args -}}
{{- end -}}

{{/* GPUs of one engine replica. */}}
{{- define "xtts.gpuShare" -}}
{{- if eq .Values.engine.device "cuda" }}{{ divf 1.0 (float64 .Values.engine.replicasPerWorker) }}{{ else }}0{{ end -}}
{{- end -}}

{{/* Worker pods for (list replicas replicasPerWorker). */}}
{{- define "xtts.numWorkers" -}}
{{- div (sub (add (index . 0 | int) (index . 1 | int)) 1) (index . 1 | int) -}}
{{- end -}}

{{/* Engine replicas at most, those that a change of settings starts beside the old ones included. */}}
{{- define "xtts.maxEngines" -}}
{{- $max := int .Values.engine.maxReplicas -}}
{{- add $max (div (add (mul $max (int .Values.engine.maxSurgePercent)) 99) 100) -}}
{{- end -}}

{{/* Settings as environment variables, for a pod that is a whole service. */}}
{{- define "xtts.settingsEnv" -}}
{{- $settings := merge (dict "host" "0.0.0.0" "port" 8000 "metrics_port" 9464) (include "xtts.settings" . | fromYaml) -}}
{{- range $name, $value := $settings }}
- name: XTTS_{{ upper $name }}
  value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- end -}}

{{/* What Serve is to run, as text that KubeRay hands on; changed in place. */}}
{{- define "xtts.serveConfig" -}}
proxy_location: EveryNode
http_options:
  host: 0.0.0.0
  port: 8000
logging_config:
  encoding: {{ upper .Values.settings.log_format }}
  log_level: INFO
  enable_access_log: false
applications:
  - name: xtts
    route_prefix: /
    import_path: serve_app.deployment:build_app
    args:
      {{- include "xtts.rayArgs" . | nindent 6 }}
    deployments:
      - name: Engine
        {{- with int .Values.engine.maxSurgePercent }}
        max_surge_percent: {{ . }}
        {{- end }}
        ray_actor_options:
          num_cpus: 1
          num_gpus: {{ include "xtts.gpuShare" . }}
          resources: {xtts_engine: 1}
      - name: Ingress
        ray_actor_options:
          num_cpus: 0.1
          resources: {xtts_ingress: 1}
{{- end -}}
