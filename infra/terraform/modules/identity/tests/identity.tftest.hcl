# One service account reads what is named, and nothing else.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name              = "x"
  oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/x"
  oidc_issuer       = "oidc.example/id/X"
  namespace         = "external-secrets"
  service_account   = "external-secrets"
  secret_arns       = ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:x"]
  kms_key_arn       = "arn:aws:kms:eu-central-1:111122223333:key/x"
}

run "one_account_of_one_namespace_is_trusted" {
  command = plan

  assert {
    condition     = contains(flatten([for c in data.aws_iam_policy_document.assume.statement[0].condition : c.values]), "system:serviceaccount:external-secrets:external-secrets")
    error_message = "the role is for that account alone"
  }
  assert {
    condition     = tolist(data.aws_iam_policy_document.read_secrets.statement[0].resources) == tolist(var.secret_arns)
    error_message = "what may be read is named"
  }
}

run "all_secrets_are_refused" {
  command = plan
  variables { secret_arns = ["*"] }
  expect_failures = [var.secret_arns]
}
