output "storage_class_name" {
  description = "The class, once it is there."
  value       = yamldecode(helm_release.this.values[0]).name
}
