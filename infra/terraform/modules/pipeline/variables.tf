variable "name" {
  description = "What everything is called after."
  type        = string
}

variable "github_oidc_provider_arn" {
  description = "What GitHub's tokens are known by in IAM; an account has one for all repositories."
  type        = string
}

variable "plan_subject" {
  description = "The subject of tokens in the workflow's environment `plan`, as repo:OWNER/events-proxy:environment:plan."
  type        = string

  validation {
    condition     = can(regex("^repo:[^*?]+:environment:plan$", var.plan_subject))
    error_message = "plan_subject must name one repository and its environment `plan`, without a wildcard."
  }
}

variable "state_bucket_arn" {
  description = "The bucket of the state."
  type        = string
}

variable "state_key" {
  description = "The state in it."
  type        = string
}
