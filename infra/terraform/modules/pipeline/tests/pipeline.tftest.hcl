# Whoever plans changes nothing and reads no secret.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name                     = "x"
  github_oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"
  plan_subject             = "repo:owner/events-proxy:environment:plan"
  state_bucket_arn         = "arn:aws:s3:::states"
  state_key                = "events-proxy/staging"
}

run "one_environment_of_one_repository_is_trusted" {
  command = plan

  assert {
    condition     = contains(flatten([for c in data.aws_iam_policy_document.assume.statement[0].condition : c.values if c.test == "StringEquals"]), var.plan_subject)
    error_message = "the role is for that environment alone"
  }
}

run "it_reads_and_no_secret" {
  command = plan

  assert {
    condition     = aws_iam_role_policy_attachment.plan.policy_arn == "arn:aws:iam::aws:policy/ReadOnlyAccess"
    error_message = "reading is all that is attached"
  }
  assert {
    condition     = alltrue([for one in data.aws_iam_policy_document.read_state_alone.statement : alltrue([for action in one.actions : can(regex("^s3:(Get|List)", action))]) if one.effect != "Deny"])
    error_message = "beside it, the state is read, and nothing is written"
  }
  assert {
    condition     = contains(flatten([for one in data.aws_iam_policy_document.read_state_alone.statement : tolist(one.actions) if one.effect == "Deny"]), "secretsmanager:GetSecretValue")
    error_message = "no secret is read"
  }
}

run "any_branch_is_refused" {
  command = plan
  variables { plan_subject = "repo:owner/events-proxy:*" }
  expect_failures = [var.plan_subject]
}
