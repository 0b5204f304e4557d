variable "chart" {
  description = "The chart: a path, or where a registry has it."
  type        = string
}

variable "namespace" {
  description = "The namespace that gets it."
  type        = string
}

variable "registry" {
  description = "Where the images are."
  type        = string
}

variable "image_tag" {
  description = "The images' tag."
  type        = string

  validation {
    condition     = var.image_tag != "latest" && length(var.image_tag) > 0
    error_message = "image_tag must be a version: `latest` would make an upgrade of every restart."
  }
}

variable "brokers" {
  description = "The brokers to ask first."
  type        = list(string)
}

variable "kafka_username" {
  description = "The user at the brokers."
  type        = string
  default     = "events-proxy"
}

variable "secret_name" {
  description = "The Kubernetes Secret with access-token, database-url, kafka-password and accounts."
  type        = string
  default     = "events-proxy"
}

variable "database_ca_config_map" {
  description = "The ConfigMap with ca.crt: the certificates of the authorities that sign RDS's, without which database-url cannot say sslmode=verify-full."
  type        = string
  default     = "database-ca"
}

variable "retention_hours" {
  description = "How long the brokers keep events."
  type        = number
}

variable "storage_class_name" {
  description = "The class of the spools' volumes: it binds on first use, or pods cannot spread over zones."
  type        = string
}

variable "target" {
  description = "The target and its limit."
  type = object({
    url                   = string
    requests_per_interval = number
    interval_ms           = number
  })

  validation {
    condition     = startswith(var.target.url, "https://")
    error_message = "target.url must be an https URL."
  }

  validation {
    condition     = var.target.requests_per_interval >= 1 && var.target.interval_ms >= 1
    error_message = "target.requests_per_interval and target.interval_ms must be 1 or more."
  }
}

variable "prometheus_operator" {
  description = "Whether the Prometheus operator is in the cluster, and takes a PodMonitor and the alerts. Without its kinds a release that has them fails."
  type        = bool
  default     = false
}

variable "values" {
  description = "Further values of the chart, as YAML; they win."
  type        = string
  default     = ""
}
