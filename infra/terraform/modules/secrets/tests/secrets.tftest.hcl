# What the brokers ask of the secret with their user.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:111122223333:key/x" }
  }
  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:x" }
  }
}

variables {
  name = "x"
}

run "the_brokers_may_take_and_read_the_secret_of_their_user" {
  command = apply

  assert {
    condition     = startswith(aws_secretsmanager_secret.kafka.name, "AmazonMSK_")
    error_message = "MSK takes no other name"
  }
  assert {
    condition     = aws_secretsmanager_secret.kafka.kms_key_id == aws_kms_key.this.arn
    error_message = "MSK takes no secret that the account's own key encrypts"
  }
  assert {
    condition     = tolist(data.aws_iam_policy_document.kafka.statement[0].actions) == tolist(["secretsmanager:getSecretValue"]) && alltrue([for one in data.aws_iam_policy_document.kafka.statement[0].principals : tolist(one.identifiers) == tolist(["kafka.amazonaws.com"])])
    error_message = "the brokers may read it, and nobody else by this policy"
  }
  assert {
    condition     = output.kafka_secret_arn == aws_secretsmanager_secret_policy.kafka.secret_arn
    error_message = "who takes it waits until the brokers may read it"
  }
}
