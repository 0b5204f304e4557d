# The chart, in the cluster. Images are named by a tag that the registry never moves, so that what was tested is what runs.

locals {
  # Helm's provider looks at a chart's version alone. What a checked-out chart holds is told beside the values, so that a change of it is a change.
  chart_digest = sha256(join("", [for file in fileset(var.chart, "**") : "${file} ${filesha256("${var.chart}/${file}")}\n"]))
}

resource "helm_release" "this" {
  name             = "events-proxy"
  chart            = var.chart
  namespace        = var.namespace
  create_namespace = true
  atomic           = true
  cleanup_on_fail  = true
  max_history      = 10
  timeout          = 900

  values = [
    yamlencode({
      global = { chart = local.chart_digest } # which the chart lets pass and does not read
      image  = { registry = var.registry, tag = var.image_tag }
      queue  = { brokers = var.brokers, saslMechanism = "SCRAM-SHA-512", saslUsername = var.kafka_username }
      target = { url = var.target.url, requestsPerInterval = var.target.requests_per_interval, intervalMs = var.target.interval_ms }
      # What the brokers are set to, for the alarm before a backlog outlives it; the journal knows an event for as long as the topic has it.
      settings = { queue_retention_ms = var.retention_hours * 3600000, journal_retention_days = ceil(var.retention_hours / 24) }
      # No public authority signs RDS's certificates.
      database = { ca = { configMap = var.database_ca_config_map } }
      secrets = {
        accessToken = { existingSecret = var.secret_name, key = "access-token" }
        database    = { existingSecret = var.secret_name, key = "database-url" }
        queue       = { existingSecret = var.secret_name, key = "kafka-password" }
        accounts    = { existingSecret = var.secret_name, key = "accounts" }
      }
      ingest = { autoscaling = { enabled = true }, zoneSpread = "DoNotSchedule", spool = { storageClassName = var.storage_class_name } }
      # Its kinds are not in a cluster before the Prometheus operator is.
      monitoring = { podMonitor = var.prometheus_operator, rules = var.prometheus_operator, dashboards = true }
    }),
    var.values,
  ]
}
