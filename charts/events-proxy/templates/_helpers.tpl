{{/* The release's name, short enough for what is put behind it. */}}
{{- define "events-proxy.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* What selects the pods of a workload: dict root, component. */}}
{{- define "events-proxy.selector" -}}
app.kubernetes.io/name: events-proxy
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* The labels of an object: dict root, component. */}}
{{- define "events-proxy.labels" -}}
{{ include "events-proxy.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: events-proxy
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "events-proxy.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary (include "events-proxy.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{/* Says something where a Job runs before an installation or an upgrade. */}}
{{- define "events-proxy.prepares" -}}
{{- if or .Values.hooks.migrate.enabled .Values.hooks.topic.enabled }}yes{{ end }}
{{- end }}

{{/* The annotations of what is there only before an installation or an upgrade: its weight. */}}
{{- define "events-proxy.hook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* Says something where the Ingress ends TLS: by a Secret, or by a certificate that AWS keeps. */}}
{{- define "events-proxy.ingressTls" -}}
{{- if or .Values.ingress.tlsSecretName (get .Values.ingress.annotations "alb.ingress.kubernetes.io/certificate-arn") }}yes{{ end }}
{{- end }}

{{/* The image of a workload: dict root, component. */}}
{{- define "events-proxy.image" -}}
{{ .root.Values.image.registry }}/{{ .component }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{/* A quantity in whole bytes: Mi, Gi or Ti. */}}
{{- define "events-proxy.bytes" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[MGT]i$" . -}}
{{- mul $number (get (dict "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776) $unit) -}}
{{- end }}

{{/* The most dispatchers that have something to do: by the limit, by the partitions, by what is allowed; never fewer than the least. */}}
{{- define "events-proxy.dispatcherMax" -}}
{{- $scaling := .Values.dispatcher.autoscaling -}}
{{- $perSecond := divf (mulf .Values.target.requestsPerInterval 1000) .Values.target.intervalMs -}}
{{- $byLimit := ceil (divf $perSecond $scaling.eventsPerSecondPerReplica) | int -}}
{{- max $scaling.minReplicas (min $scaling.maxReplicas $byLimit .Values.queue.partitions) -}}
{{- end }}

{{/* The settings of a workload as environment: dict root, component. Numbers stay whole, whatever YAML makes of them. */}}
{{- define "events-proxy.settings" -}}
{{- $own := get .root.Values .component -}}
{{- $queue := .root.Values.queue -}}
{{- $settings := dict
  "environment_profile" .root.Values.profile
  "queue_type" "Kafka"
  "queue_url" (join "," $queue.brokers)
  "queue_topic" $queue.topic
  "queue_partitions" $queue.partitions
  "queue_tls" $queue.tls
  "user_repository_type" "Postgres"
  "stop_grace_ms" (mul $own.stopGraceSeconds 1000)
-}}
{{- if $queue.saslMechanism }}
{{- $_ := set $settings "queue_sasl_mechanism" $queue.saslMechanism }}
{{- $_ := set $settings "queue_sasl_username" $queue.saslUsername }}
{{- end }}
{{- if eq .component "ingest" }}
{{- $_ := set $settings "data_dir" "/var/lib/events-proxy" }}
{{- $_ := set $settings "spool_max_bytes" (div (mul (include "events-proxy.bytes" $own.spool.size | int64) 4) 5) }}
{{- else }}
{{- $_ := set $settings "target_service_graphql_url" .root.Values.target.url }}
{{- $_ := set $settings "target_service_rate_limit_requests_per_interval" .root.Values.target.requestsPerInterval }}
{{- $_ := set $settings "target_service_rate_limit_interval_ms" .root.Values.target.intervalMs }}
{{- end }}
{{- range $key, $value := mergeOverwrite $settings (deepCopy .root.Values.settings) (deepCopy $own.settings) }}
{{- if kindIs "float64" $value }}
{{- if eq $value (floor $value) }}
{{- $value = int64 $value }}
{{- end }}
{{- end }}
{{ upper $key }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}
