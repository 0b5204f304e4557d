output "revision" {
  description = "The revision that is installed."
  value       = helm_release.this.metadata.revision
}
