variable "name" {
  description = "The cluster's name."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "private_subnet_ids" {
  description = "Three private subnets, each in a zone of its own: one broker in each."
  type        = list(string)

  validation {
    condition     = length(var.private_subnet_ids) == 3
    error_message = "private_subnet_ids must be three: with two in-sync replicas required, fewer brokers stop at the first loss."
  }
}

variable "client_security_group_id" {
  description = "Who may connect."
  type        = string
}

variable "kms_key_arn" {
  description = "The key that encrypts what is stored."
  type        = string
}

variable "scram_secret_arn" {
  description = "The secret with user and password; its name begins with AmazonMSK_, and a key of ours encrypts it."
  type        = string

  validation {
    condition     = strcontains(var.scram_secret_arn, ":secret:AmazonMSK_")
    error_message = "scram_secret_arn must be that of a secret whose name begins with AmazonMSK_: MSK takes no other."
  }
}

variable "scram_secret_filled" {
  description = "Whether that secret has its value. False only for the apply that makes it."
  type        = bool
  default     = true
}

variable "kafka_version" {
  description = "Kafka's version."
  type        = string
  default     = "3.9.x"
}

variable "instance_type" {
  description = "What brokers run on."
  type        = string
  default     = "kafka.m7g.large"
}

variable "storage_gib" {
  description = "How much each broker stores."
  type        = number
  default     = 200

  validation {
    condition     = var.storage_gib >= 10 && var.storage_gib <= 16384
    error_message = "storage_gib must be from 10 to 16384."
  }
}

variable "retention_hours" {
  description = "How long events are kept: longer than the target may ever be away. At least a week."
  type        = number
  default     = 336

  validation {
    condition     = var.retention_hours >= 168
    error_message = "retention_hours must be 168 or more: the topic is the buffer while the target is away."
  }
}

variable "acls_required" {
  description = "Whether whom no ACL names is refused. False only until the first ones are made, for nobody may make them otherwise."
  type        = bool
  default     = true
}
