variable "name" {
  description = "What everything is called after."
  type        = string
}

variable "cidr" {
  description = "The network's addresses: a /16 to /20, for eight subnets have to fit twice."
  type        = string

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 15)) && tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 20
    error_message = "cidr must be an IPv4 block from /16 to /20."
  }
}

variable "zones" {
  description = "The availability zones: three, so that two of them are a majority."
  type        = list(string)

  validation {
    condition     = length(var.zones) == 3 && length(distinct(var.zones)) == 3
    error_message = "zones must be three different availability zones."
  }
}

variable "flow_log_bucket_arn" {
  description = "The bucket that gets the log of refused connections."
  type        = string
}
