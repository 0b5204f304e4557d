variable "kms_key_arn" {
  description = "The key that encrypts the volumes; the role of the cluster's volume driver may use it."
  type        = string

  validation {
    condition     = startswith(var.kms_key_arn, "arn:")
    error_message = "kms_key_arn must be the key's ARN."
  }
}
