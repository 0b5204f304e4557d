# Spools get an encrypted volume, in the zone of their pod. What the chart makes of it is judged where all manifests are.

mock_provider "helm" {}

variables {
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/x"
}

run "the_class_is_encrypted_by_a_key_of_ours" {
  command = plan

  assert {
    condition     = yamldecode(helm_release.this.values[0]).kmsKeyId == var.kms_key_arn
    error_message = "the key reaches the class"
  }
  assert {
    condition     = output.storage_class_name == "gp3"
    error_message = "who asks for a volume knows its class"
  }
}

run "a_key_without_its_account_is_refused" {
  command = plan
  variables { kms_key_arn = "alias/events" }
  expect_failures = [var.kms_key_arn]
}
