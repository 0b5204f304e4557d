variable "name" {
  description = "The prefix of the repositories."
  type        = string
}

variable "images" {
  description = "One repository for each."
  type        = list(string)
  default     = ["ingest", "dispatcher", "events-proxy"]
}

variable "kms_key_arn" {
  description = "The key that encrypts them."
  type        = string
}
