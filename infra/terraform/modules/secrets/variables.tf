variable "name" {
  description = "What everything is called after."
  type        = string
}
