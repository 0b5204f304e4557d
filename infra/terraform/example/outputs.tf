output "registry" {
  description = "Where to push images."
  value       = module.registry.registry
}

output "cluster" {
  description = "The cluster's name, for `aws eks update-kubeconfig`."
  value       = module.cluster.name
}

output "brokers" {
  description = "The brokers."
  value       = module.kafka.brokers
}

output "database" {
  description = "Where PostgreSQL is."
  value       = module.database.address
}

output "database_secret_arn" {
  description = "The secret with the password of the database's administrator."
  value       = module.database.master_secret_arn
}

output "secrets_role_arn" {
  description = "The role of whoever brings secrets into the cluster."
  value       = module.identity.role_arn
}

output "plan_role_arn" {
  description = "The role by which the workflow plans; null without one."
  value       = one(module.pipeline[*].plan_role_arn)
}

output "image_tag" {
  description = "The version that runs: what a deployment goes on with, and is held against."
  value       = var.image_tag
  depends_on  = [module.release] # a release that failed went back
}
