variable "name" {
  description = "What everything is called after."
  type        = string
  default     = "events-proxy"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,20}$", var.name))
    error_message = "name must be 3 to 21 small letters, digits and hyphens, a letter first."
  }
}

variable "environment" {
  description = "Which environment this is."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be staging or production."
  }
}

variable "region" {
  description = "The region."
  type        = string
}

variable "zones" {
  description = "Three availability zones of it."
  type        = list(string)
}

variable "cidr" {
  description = "The network's addresses."
  type        = string
  default     = "10.40.0.0/16"
}

variable "flow_log_bucket_arn" {
  description = "The bucket that gets the log of refused connections."
  type        = string
}

variable "kubernetes_version" {
  description = "The minor version of Kubernetes."
  type        = string
  default     = "1.34"
}

variable "admin_role_arns" {
  description = "Roles that may administer the cluster."
  type        = list(string)
}

variable "pipeline" {
  description = "For whom the workflow's role that plans is made; null where no workflow deploys."
  type = object({
    github_oidc_provider_arn = string
    plan_subject             = string
    state_bucket_arn         = string
    state_key                = string
  })
  default = null
}

variable "api_allowed_cidrs" {
  description = "From where the API server may be called from outside; empty: from inside alone."
  type        = list(string)
  default     = []
}

variable "retention_hours" {
  description = "How long the brokers keep events: longer than the target may ever be away. Backups of the database and the journal reach as far back."
  type        = number
  default     = 336

  validation {
    condition     = var.retention_hours >= 168 && var.retention_hours <= 840
    error_message = "retention_hours must be from 168, for the topic is the buffer while the target is away, to 840, for no backup is kept longer."
  }
}

variable "image_tag" {
  description = "The version to run; null while there is nothing to run yet."
  type        = string
  default     = null
}

variable "target" {
  description = "The target and its limit."
  type = object({
    url                   = string
    requests_per_interval = number
    interval_ms           = number
  })
}

variable "secrets_filled" {
  description = "Whether the secrets have their values; false only for the apply that makes them, as the brokers take no user without a password."
  type        = bool
  default     = true

  validation {
    condition     = var.secrets_filled || var.image_tag == null
    error_message = "secrets_filled must be true where image_tag is set: without their values nothing runs."
  }
}

variable "acls_required" {
  description = "Whether the brokers refuse whom no ACL names; false only until the first ones are made."
  type        = bool
  default     = true
}

variable "prometheus_operator" {
  description = "Whether the Prometheus operator is in the cluster; only then is the release monitored, and only then does an alert ring."
  type        = bool
  default     = false
}

variable "values" {
  description = "Further values of the chart, as YAML, as an Ingress or operators; they win."
  type        = string
  default     = ""
}
