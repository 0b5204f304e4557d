{{/*
What the schema cannot see: pairs of values that are each fine and together lose events or tell secrets. Every message begins with the key.
*/}}
{{- define "events-proxy.guards" -}}
{{- $wrong := list -}}
{{- $values := .Values -}}
{{- $production := eq $values.profile "production" -}}

{{- if not $values.image.registry }}
{{- $wrong = append $wrong "image.registry: must be set; a released chart carries it, a checked-out one does not" }}
{{- end }}
{{- if eq $values.image.tag "latest" }}
{{- $wrong = append $wrong "image.tag: `latest` would make an upgrade of every restart" }}
{{- end }}
{{- if not $values.queue.brokers }}
{{- $wrong = append $wrong "queue.brokers: must name at least one `host:port`; ingest and dispatcher meet only on Kafka" }}
{{- end }}
{{- if not $values.target.url }}
{{- $wrong = append $wrong "target.url: must be set" }}
{{- end }}
{{- if and $production (contains "@" (regexFind "://[^/?#]*" $values.target.url)) }}
{{- $wrong = append $wrong "target.url: user and password would stand in a ConfigMap; name secrets.target.existingSecret" }}
{{- end }}

{{- range $name, $secret := $values.secrets }}
{{- if and $secret.value $production }}
{{- $wrong = append $wrong (printf "secrets.%s.value: a secret in values stays in the release's history; in production name an existingSecret" $name) }}
{{- end }}
{{- if and $secret.value $secret.existingSecret }}
{{- $wrong = append $wrong (printf "secrets.%s.value: is set beside existingSecret; only one can be meant" $name) }}
{{- end }}
{{- end }}
{{- range $name := list "accessToken" "database" }}
{{- $secret := get $values.secrets $name }}
{{- if not (or $secret.value $secret.existingSecret) }}
{{- $wrong = append $wrong (printf "secrets.%s.existingSecret: must name a Secret" $name) }}
{{- end }}
{{- end }}
{{- $password := or $values.secrets.queue.value $values.secrets.queue.existingSecret }}
{{- if and $values.queue.saslMechanism (not $password) }}
{{- $wrong = append $wrong "secrets.queue.existingSecret: must name a Secret, because queue.saslMechanism is set" }}
{{- end }}
{{- if and $values.queue.saslMechanism (not $values.queue.saslUsername) }}
{{- $wrong = append $wrong "queue.saslUsername: must be set, because queue.saslMechanism is" }}
{{- end }}
{{- if and $production (eq $values.queue.saslMechanism "PLAIN") (not $values.queue.tls) }}
{{- $wrong = append $wrong "queue.tls: must be true, or PLAIN sends the password in clear text" }}
{{- end }}

{{- range $where := list "settings" "ingest.settings" "dispatcher.settings" }}
{{- $settings := $values.settings }}
{{- if ne $where "settings" }}
{{- $settings = (get $values (trimSuffix ".settings" $where)).settings }}
{{- end }}
{{- if and $production (eq (toString (get $settings "graphql_client_testing_mode")) "true") }}
{{- $wrong = append $wrong (printf "%s.graphql_client_testing_mode: makes attempts fail on purpose; must be false in production" $where) }}
{{- end }}
{{- if hasKey $settings "user_repository_type" }}
{{- if ne $settings.user_repository_type "Postgres" }}
{{- $wrong = append $wrong (printf "%s.user_repository_type: must be Postgres; pods cannot share %s, so two dispatchers would each deliver every event" $where $settings.user_repository_type) }}
{{- end }}
{{- end }}
{{- if hasKey $settings "queue_type" }}
{{- if ne $settings.queue_type "Kafka" }}
{{- $wrong = append $wrong (printf "%s.queue_type: must be Kafka; separate pods meet only there" $where) }}
{{- end }}
{{- end }}
{{- if hasKey $settings "environment_profile" }}
{{- $wrong = append $wrong (printf "%s.environment_profile: is set by profile, which the chart itself has to know" $where) }}
{{- end }}
{{- end }}

{{- range $name := list "ingest" "dispatcher" }}
{{- $told := mergeOverwrite (dict) (deepCopy $values.settings) (deepCopy (get $values $name).settings) }}
{{- if and $production (not $values.queue.tls) (ne (toString (get $told "queue_allow_plaintext")) "true") }}
{{- $wrong = append $wrong (printf "queue.tls: must be true in production, or events and passwords can be read on the way; say settings.queue_allow_plaintext=true to accept that (%s)" $name) }}
{{- end }}
{{- if and $production (eq $name "dispatcher") (hasPrefix "http://" (lower $values.target.url)) (ne (toString (get $told "target_service_allow_http")) "true") }}
{{- if not (regexMatch "^http://(localhost|127[.][0-9.]+|\\[::1\\])([:/?#]|$)" (lower $values.target.url)) }}
{{- $wrong = append $wrong "target.url: must be https in production, or events can be read on the way; say dispatcher.settings.target_service_allow_http=true to accept that" }}
{{- end }}
{{- end }}
{{- end }}

{{- $volume := include "events-proxy.bytes" $values.ingest.spool.size | int64 }}
{{- $spool := mergeOverwrite (dict) (deepCopy $values.settings) (deepCopy $values.ingest.settings) }}
{{- $durability := get $spool "accept_durability" | default "volume" }}
{{- if not (or $values.ingest.spool.persistent $values.ingest.spool.ephemeralMayLoseEvents (eq $durability "broker")) }}
{{- $wrong = append $wrong "ingest.spool.persistent: false loses events that were answered with 202 when a pod goes; say ingest.spool.ephemeralMayLoseEvents=true to accept that" }}
{{- end }}
{{- if hasKey $spool "spool_max_bytes" }}
{{- if gt (int64 $spool.spool_max_bytes) $volume }}
{{- $wrong = append $wrong "ingest.settings.spool_max_bytes: is more than ingest.spool.size holds" }}
{{- end }}
{{- end }}
{{- range $name := list "ingest" "dispatcher" }}
{{- $scaling := (get $values $name).autoscaling }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
{{- $wrong = append $wrong (printf "%s.autoscaling.minReplicas: is more than maxReplicas" $name) }}
{{- end }}
{{- end }}

{{- if and $values.ingress.enabled (not $values.ingress.host) }}
{{- $wrong = append $wrong "ingress.host: must be set" }}
{{- end }}
{{- if and $values.ingress.enabled $production (not (include "events-proxy.ingressTls" .)) }}
{{- $wrong = append $wrong "ingress.tlsSecretName: must be set in production, or the annotation alb.ingress.kubernetes.io/certificate-arn; sources send secrets and tokens" }}
{{- end }}
{{- if and $values.gateway.enabled (not $values.gateway.parentRefs) }}
{{- $wrong = append $wrong "gateway.parentRefs: must name the Gateway to attach to" }}
{{- end }}

{{- if and $values.monitoring.podMonitor $values.monitoring.serviceMonitor }}
{{- $wrong = append $wrong "monitoring.serviceMonitor: is set beside podMonitor; each figure would be read twice" }}
{{- end }}

{{- if $wrong }}
{{- fail (printf "\n\nThese values cannot be installed:\n  - %s\n" (join "\n  - " $wrong)) }}
{{- end }}
{{- end }}
