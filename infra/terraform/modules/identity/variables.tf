variable "name" {
  description = "What everything is called after."
  type        = string
}

variable "oidc_provider_arn" {
  description = "What the cluster's service accounts are known by in IAM."
  type        = string
}

variable "oidc_issuer" {
  description = "The issuer of their tokens, without the scheme."
  type        = string
}

variable "namespace" {
  description = "The namespace of the service account."
  type        = string
}

variable "service_account" {
  description = "The service account that brings secrets into the cluster."
  type        = string
}

variable "secret_arns" {
  description = "What it may read."
  type        = list(string)

  validation {
    condition     = length(var.secret_arns) > 0 && !contains(var.secret_arns, "*")
    error_message = "secret_arns must name the secrets one by one."
  }
}

variable "kms_key_arn" {
  description = "The key that they are encrypted with."
  type        = string
}
