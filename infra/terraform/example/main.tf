# One environment, whole: network, cluster, brokers, database, secrets, and the chart.

locals {
  name = "${var.name}-${var.environment}"
}

module "secrets" {
  source = "../modules/secrets"
  name   = local.name
}

module "network" {
  source              = "../modules/network"
  name                = local.name
  cidr                = var.cidr
  zones               = var.zones
  flow_log_bucket_arn = var.flow_log_bucket_arn
}

module "cluster" {
  source             = "../modules/cluster"
  name               = local.name
  kubernetes_version = var.kubernetes_version
  private_subnet_ids = module.network.private_subnet_ids
  kms_key_arn        = module.secrets.kms_key_arn
  admin_role_arns    = var.admin_role_arns
  viewer_role_arns   = { for role in module.pipeline : "plan" => role.plan_role_arn }
  api_allowed_cidrs  = var.api_allowed_cidrs
}

module "pipeline" {
  count                    = var.pipeline == null ? 0 : 1
  source                   = "../modules/pipeline"
  name                     = local.name
  github_oidc_provider_arn = var.pipeline.github_oidc_provider_arn
  plan_subject             = var.pipeline.plan_subject
  state_bucket_arn         = var.pipeline.state_bucket_arn
  state_key                = var.pipeline.state_key
}

module "registry" {
  source      = "../modules/registry"
  name        = local.name
  kms_key_arn = module.secrets.kms_key_arn
}

module "database" {
  source                   = "../modules/database"
  name                     = local.name
  vpc_id                   = module.network.vpc_id
  private_subnet_ids       = module.network.private_subnet_ids
  client_security_group_id = module.cluster.node_security_group_id
  kms_key_arn              = module.secrets.kms_key_arn
  backup_days              = max(14, ceil(var.retention_hours / 24))
}

module "kafka" {
  source                   = "../modules/kafka"
  name                     = local.name
  vpc_id                   = module.network.vpc_id
  private_subnet_ids       = module.network.private_subnet_ids
  client_security_group_id = module.cluster.node_security_group_id
  kms_key_arn              = module.secrets.kms_key_arn
  scram_secret_arn         = module.secrets.kafka_secret_arn
  acls_required            = var.acls_required
  scram_secret_filled      = var.secrets_filled
  retention_hours          = var.retention_hours
}

module "identity" {
  source            = "../modules/identity"
  name              = local.name
  oidc_provider_arn = module.cluster.oidc_provider_arn
  oidc_issuer       = module.cluster.oidc_issuer
  namespace         = "external-secrets"
  service_account   = "external-secrets"
  secret_arns       = module.secrets.secret_arns
  kms_key_arn       = module.secrets.kms_key_arn
}

# What follows is in the cluster, so from the apply on that has a version to run: the first ones make the cluster, the brokers and the secrets.
module "storage" {
  count       = var.image_tag == null ? 0 : 1
  source      = "../modules/storage"
  kms_key_arn = module.secrets.kms_key_arn
  depends_on  = [module.cluster]
}

module "release" {
  count               = var.image_tag == null ? 0 : 1
  source              = "../modules/release"
  chart               = "${path.module}/../../../charts/events-proxy"
  namespace           = "events-proxy"
  registry            = module.registry.registry
  image_tag           = var.image_tag
  brokers             = module.kafka.brokers
  retention_hours     = var.retention_hours
  storage_class_name  = module.storage[0].storage_class_name
  target              = var.target
  prometheus_operator = var.prometheus_operator
  values              = var.values
}
