output "registry" {
  description = "What the chart calls image.registry."
  value       = trimsuffix(aws_ecr_repository.this[var.images[0]].repository_url, "/${var.images[0]}")
}
