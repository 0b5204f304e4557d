{{/* What the pods of both workloads have in common: dict root, component. */}}
{{- define "events-proxy.podMetadata" -}}
{{- $own := get .root.Values .component -}}
labels:
  {{- include "events-proxy.selector" . | nindent 2 }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with $own.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # A change of either rolls the pods, for a process reads its settings once.
  checksum/settings: {{ include "events-proxy.settings" . | sha256sum }}
  checksum/secrets: {{ toJson .root.Values.secrets | sha256sum }}
  kubectl.kubernetes.io/default-container: {{ .component }}
  {{- with $own.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* What every pod of ours is to the cluster: dict root, account, own (its values: priorityClassName, nodeSelector, tolerations). */}}
{{- define "events-proxy.podBase" -}}
serviceAccountName: {{ .account }}
automountServiceAccountToken: false
# The addresses of other services are not settings of ours, and many of them make a start slow.
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "events-proxy.podSpec" -}}
{{- $own := get .root.Values .component -}}
{{ include "events-proxy.podBase" (dict "root" .root "account" (include "events-proxy.serviceAccount" .root) "own" $own) }}
# A node that takes no pods, as one of a zone that is lost, counts for no zone: the others may then take its share.
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: {{ $own.zoneSpread }}
    nodeTaintsPolicy: Honor
    labelSelector:
      matchLabels:
        {{- include "events-proxy.selector" . | nindent 8 }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    nodeTaintsPolicy: Honor
    labelSelector:
      matchLabels:
        {{- include "events-proxy.selector" . | nindent 8 }}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "events-proxy.selector" . | nindent 14 }}
{{- end }}

{{- define "events-proxy.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Which secrets a workload or a Job is told, as variables: dict root, component. */}}
{{- define "events-proxy.secretVariables" -}}
{{- if ne .component "topic" }}
database: USER_REPOSITORY_URL
{{- end }}
{{- if and .root.Values.queue.saslMechanism (ne .component "migrate") }}
queue: QUEUE_SASL_PASSWORD
{{- end }}
{{- if eq .component "dispatcher" }}
target: TARGET_SERVICE_AUTHORIZATION
{{- end }}
{{- if eq .component "ingest" }}
accessToken: AUTH_ACCESS_TOKEN_SECRET
secondAccessToken: AUTH_ACCESS_TOKEN_SECOND_SECRET
accounts: PROXY_SERVICE_TEST_USERS_DATA
{{- else if and (eq .component "dispatcher") (or .root.Values.secrets.operators.existingSecret .root.Values.secrets.operators.value) }}
# The dispatcher signs operators' tokens; without operators it signs nothing, and is not told the keys.
accessToken: AUTH_ACCESS_TOKEN_SECRET
secondAccessToken: AUTH_ACCESS_TOKEN_SECOND_SECRET
operators: OPERATOR_ACCOUNTS
{{- end }}
{{- end }}

{{/* The secrets of a workload or a Job as environment: dict root, component, demo (our own Secret, where values hold them). */}}
{{- define "events-proxy.secretEnvironment" -}}
{{- range $name, $variable := include "events-proxy.secretVariables" . | fromYaml }}
{{- $secret := get $.root.Values.secrets $name }}
{{- if or $secret.existingSecret $secret.value }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret.existingSecret | default $.demo }}
      key: {{ if $secret.existingSecret }}{{ $secret.key }}{{ else }}{{ $name }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Certificates of authorities that are no public ones: dict root, component. Each has a ConfigMap, and a variable that names its file. */}}
{{- define "events-proxy.authorities" -}}
{{- with .root.Values.database.ca }}
{{- if and .configMap (ne $.component "topic") }}
database-ca: {configMap: {{ .configMap }}, key: {{ .key }}, directory: /etc/events-proxy/database, variable: PGSSLROOTCERT}
{{- end }}
{{- end }}
{{- with .root.Values.authorities }}
{{- if and .configMap (ne $.component "migrate") }}
authorities: {configMap: {{ .configMap }}, key: {{ .key }}, directory: /etc/events-proxy/authorities, variable: SSL_CERT_FILE}
{{- end }}
{{- end }}
{{- end }}

{{- define "events-proxy.authoritiesEnvironment" -}}
{{- range include "events-proxy.authorities" . | fromYaml }}
- {name: {{ .variable }}, value: {{ .directory }}/ca.crt}
{{- end }}
{{- end }}

{{- define "events-proxy.authoritiesMounts" -}}
{{- range $name, $of := include "events-proxy.authorities" . | fromYaml }}
- {name: {{ $name }}, mountPath: {{ $of.directory }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "events-proxy.authoritiesVolumes" -}}
{{- range $name, $of := include "events-proxy.authorities" . | fromYaml }}
- name: {{ $name }}
  configMap:
    name: {{ $of.configMap }}
    items: [{key: {{ $of.key }}, path: ca.crt}]
{{- end }}
{{- end }}

{{- define "events-proxy.container" -}}
{{- $own := get .root.Values .component -}}
name: {{ .component }}
image: {{ include "events-proxy.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
{{ include "events-proxy.containerSecurity" . }}
envFrom:
  - configMapRef:
      name: {{ include "events-proxy.fullname" .root }}-{{ .component }}
env:
  - name: CONTAINER_APP_REPLICA_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  {{- include "events-proxy.secretEnvironment" (merge (dict "demo" (printf "%s-demo" (include "events-proxy.fullname" .root))) .) | nindent 2 }}
  {{- with include "events-proxy.authoritiesEnvironment" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with $own.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
# Alive: the listener answers at all. A broker or a database that is away never restarts a pod.
startupProbe:
  httpGet: {path: /health/live, port: admin}
  periodSeconds: 1
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /health/live, port: admin}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
# Ready: it can do its work. It turns at once when the process is told to stop.
readinessProbe:
  httpGet: {path: /health/ready, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
resources:
  {{- toYaml $own.resources | nindent 2 }}
{{- end }}
