variable "name" {
  description = "The cluster's name."
  type        = string
}

variable "kubernetes_version" {
  description = "The minor version of Kubernetes; the chart needs 1.30 or later."
  type        = string

  validation {
    condition     = can(regex("^1\\.(3[0-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version must be a minor version from 1.30 on."
  }
}

variable "private_subnet_ids" {
  description = "One private subnet per zone."
  type        = list(string)
}

variable "kms_key_arn" {
  description = "The key that encrypts the cluster's secrets, and the volumes of its pods."
  type        = string
}

variable "admin_role_arns" {
  description = "Roles that may administer the cluster: the pipeline's, and that of people."
  type        = list(string)

  validation {
    condition     = length(var.admin_role_arns) > 0
    error_message = "admin_role_arns must name at least one role, or nobody could get in."
  }
}

variable "viewer_role_arns" {
  description = "Roles that may look at everything in the cluster but secrets, each under a name."
  type        = map(string)
  default     = {}
}

variable "api_allowed_cidrs" {
  description = "From where the API server may be called from outside; empty: from inside the network alone."
  type        = list(string)
  default     = []

  validation {
    condition     = !contains(var.api_allowed_cidrs, "0.0.0.0/0")
    error_message = "api_allowed_cidrs must not be the whole world."
  }
}

variable "instance_types" {
  description = "What nodes are."
  type        = list(string)
  default     = ["m7i.large"]
}

variable "nodes_per_zone" {
  description = "How few and how many nodes a zone may have."
  type        = object({ min = number, max = number })
  default     = { min = 1, max = 4 }

  validation {
    condition     = var.nodes_per_zone.min >= 1 && var.nodes_per_zone.max > var.nodes_per_zone.min
    error_message = "nodes_per_zone needs at least 1, and room to replace one: max above min."
  }
}
