# One environment, planned and applied against providers that make everything up: what the modules promise each other, and what they refuse.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_eks_cluster" {
    defaults = {
      arn                   = "arn:aws:eks:eu-central-1:111122223333:cluster/x"
      endpoint              = "https://cluster.example"
      certificate_authority = [{ data = "Y2VydGlmaWNhdGU=" }]
      identity              = [{ oidc = [{ issuer = "https://oidc.example/id/X" }] }]
    }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/x" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/x" }
  }
  mock_resource "aws_iam_openid_connect_provider" {
    defaults = { arn = "arn:aws:iam::111122223333:oidc-provider/x" }
  }
  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:AmazonMSK_x" }
  }
  mock_resource "aws_msk_cluster" {
    defaults = {
      arn                          = "arn:aws:kafka:eu-central-1:111122223333:cluster/x/y"
      bootstrap_brokers_sasl_scram = "b-2.example:9096,b-1.example:9096,b-3.example:9096"
    }
  }
  mock_resource "aws_msk_configuration" {
    defaults = { arn = "arn:aws:kafka:eu-central-1:111122223333:configuration/x/y", latest_revision = 1 }
  }
  mock_resource "aws_ecr_repository" {
    defaults = { repository_url = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/events-proxy-staging/ingest" }
  }
  mock_resource "aws_db_instance" {
    defaults = { address = "db.example", master_user_secret = [{ secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:m" }] }
  }
}

mock_provider "helm" {}

variables {
  environment         = "staging"
  region              = "eu-central-1"
  zones               = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  flow_log_bucket_arn = "arn:aws:s3:::flow-logs"
  admin_role_arns     = ["arn:aws:iam::111122223333:role/pipeline"]
  target              = { url = "https://target.example/graphql", requests_per_interval = 500, interval_ms = 1000 }
}

run "the_first_apply_makes_the_ground_and_no_release" {
  command = apply

  variables {
    secrets_filled = false
    acls_required  = false
  }

  assert {
    condition     = length(module.release) == 0 && length(module.storage) == 0
    error_message = "without an image there is nothing to release, and nobody asks the cluster"
  }
  assert {
    condition     = output.brokers == tolist(["b-1.example:9096", "b-2.example:9096", "b-3.example:9096"])
    error_message = "brokers come one by one, in an order that does not change"
  }
  assert {
    condition     = output.registry == "111122223333.dkr.ecr.eu-central-1.amazonaws.com/events-proxy-staging"
    error_message = "the registry is what stands before the image's name"
  }
}

run "a_version_is_released" {
  command = apply

  variables {
    image_tag = "0.1.0"
  }

  assert {
    condition     = length(module.release) == 1
    error_message = "an image makes a release"
  }
  assert {
    condition     = output.image_tag == "0.1.0"
    error_message = "the next deployment knows what runs"
  }
}

run "the_workflow_gets_a_role_that_plans" {
  command = plan

  variables {
    pipeline = {
      github_oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
      plan_subject             = "repo:owner/events-proxy:environment:plan"
      state_bucket_arn         = "arn:aws:s3:::states"
      state_key                = "events-proxy/staging"
    }
  }

  assert {
    condition     = length(module.pipeline) == 1
    error_message = "who plans has a role of its own"
  }
}

run "a_retention_that_no_backup_reaches_is_refused" {
  command = plan
  variables { retention_hours = 841 }
  expect_failures = [var.retention_hours]
}

run "a_version_without_secrets_is_refused" {
  command = plan

  variables {
    image_tag      = "0.1.0"
    secrets_filled = false
  }

  expect_failures = [var.secrets_filled]
}

run "an_environment_that_nobody_knows_is_refused" {
  command = plan
  variables { environment = "test" }
  expect_failures = [var.environment]
}

run "a_name_that_cloud_resources_cannot_have_is_refused" {
  command = plan
  variables { name = "Events_Proxy" }
  expect_failures = [var.name]
}
