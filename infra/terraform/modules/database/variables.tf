variable "name" {
  description = "The instance's name."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "private_subnet_ids" {
  description = "Private subnets, in two zones or more."
  type        = list(string)

  validation {
    condition     = length(var.private_subnet_ids) >= 2
    error_message = "private_subnet_ids must be in two zones or more, or there is nothing to fail over to."
  }
}

variable "client_security_group_id" {
  description = "Who may connect."
  type        = string
}

variable "kms_key_arn" {
  description = "The key that encrypts storage and password."
  type        = string
}

variable "postgres_major" {
  description = "PostgreSQL's major version."
  type        = string
  default     = "17"

  validation {
    condition     = contains(["15", "16", "17"], var.postgres_major)
    error_message = "postgres_major must be 15, 16 or 17."
  }
}

variable "instance_class" {
  description = "What it runs on."
  type        = string
  default     = "db.m7g.large"
}

variable "storage_gib" {
  description = "How much storage it begins with; it grows to four times that by itself."
  type        = number
  default     = 100

  validation {
    condition     = var.storage_gib >= 20 && var.storage_gib <= 16384
    error_message = "storage_gib must be from 20 to 16384."
  }
}

variable "backup_days" {
  description = "How far back it can be restored, in days: at least as long as the topic keeps events."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_days >= 7 && var.backup_days <= 35
    error_message = "backup_days must be from 7 to 35."
  }
}
