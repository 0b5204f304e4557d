# What must not be lost is private, encrypted, doubled and backed up.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}

variables {
  name                     = "x"
  vpc_id                   = "vpc-1"
  private_subnet_ids       = ["a", "b", "c"]
  client_security_group_id = "sg-1"
  kms_key_arn              = "arn:aws:kms:eu-central-1:111122223333:key/x"
}

run "the_database_is_safe" {
  command = plan

  assert {
    condition     = !aws_db_instance.this.publicly_accessible && aws_db_instance.this.storage_encrypted
    error_message = "private and encrypted"
  }
  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot
    error_message = "in two zones, and not deleted by mistake"
  }
  assert {
    condition     = aws_db_instance.this.backup_retention_period >= 7 && aws_db_instance.this.manage_master_user_password
    error_message = "backed up for as long as the topic keeps events; its password is in no state"
  }
}

run "too_short_a_backup_is_refused" {
  command = plan
  variables { backup_days = 1 }
  expect_failures = [var.backup_days]
}

run "one_zone_is_refused" {
  command = plan
  variables { private_subnet_ids = ["a"] }
  expect_failures = [var.private_subnet_ids]
}
