# What is acknowledged survives the loss of a zone.

mock_provider "aws" {
  mock_resource "aws_msk_cluster" {
    defaults = { arn = "arn:aws:kafka:eu-central-1:111122223333:cluster/x/y", bootstrap_brokers_sasl_scram = "b-1:9096" }
  }
}

variables {
  name                     = "x"
  vpc_id                   = "vpc-1"
  private_subnet_ids       = ["a", "b", "c"]
  client_security_group_id = "sg-1"
  kms_key_arn              = "arn:aws:kms:eu-central-1:111122223333:key/x"
  scram_secret_arn         = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:AmazonMSK_x"
}

run "a_record_is_on_two_of_three_brokers" {
  command = plan

  assert {
    condition     = strcontains(aws_msk_configuration.this.server_properties, "default.replication.factor=3") && strcontains(aws_msk_configuration.this.server_properties, "min.insync.replicas=2")
    error_message = "three copies, two of them before it counts"
  }
  assert {
    condition     = strcontains(aws_msk_configuration.this.server_properties, "unclean.leader.election.enable=false")
    error_message = "a replica that lags never leads"
  }
  assert {
    condition     = strcontains(aws_msk_configuration.this.server_properties, "log.message.timestamp.type=LogAppendTime")
    error_message = "retention goes by the brokers' clocks"
  }
  assert {
    condition     = aws_msk_cluster.this.encryption_info[0].encryption_in_transit[0].client_broker == "TLS" && !aws_msk_cluster.this.client_authentication[0].unauthenticated
    error_message = "TLS, and nobody without a password"
  }
}

run "whom_no_acl_names_is_refused" {
  command = plan

  assert {
    condition     = strcontains(aws_msk_configuration.this.server_properties, "allow.everyone.if.no.acl.found=false")
    error_message = "a topic is for whom an ACL names"
  }
}

run "the_first_acls_can_be_made" {
  command = plan
  variables { acls_required = false }

  assert {
    condition     = strcontains(aws_msk_configuration.this.server_properties, "allow.everyone.if.no.acl.found=true")
    error_message = "without any ACL nobody may make one"
  }
}

run "the_user_is_known_to_the_brokers" {
  command = plan

  assert {
    condition     = toset(aws_msk_scram_secret_association.this[0].secret_arn_list) == toset([var.scram_secret_arn])
    error_message = "who is not associated cannot log in"
  }
}

run "an_empty_secret_is_not_offered" {
  command = plan
  variables { scram_secret_filled = false }

  assert {
    condition     = length(aws_msk_scram_secret_association.this) == 0
    error_message = "MSK takes no empty secret"
  }
}

run "a_secret_that_msk_does_not_take_is_refused" {
  command = plan
  variables { scram_secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:x/kafka" }
  expect_failures = [var.scram_secret_arn]
}

run "settings_of_another_version_stand_beside_those_in_use" {
  command = plan
  variables { kafka_version = "4.0.x.kraft" }

  assert {
    condition     = aws_msk_configuration.this.name == "x-4-0-x-kraft" && can(regex("^[0-9A-Za-z][0-9A-Za-z-]*$", aws_msk_configuration.this.name))
    error_message = "the name says the version, in letters, digits and hyphens"
  }
}

run "too_short_a_retention_is_refused" {
  command = plan
  variables { retention_hours = 24 }
  expect_failures = [var.retention_hours]
}

run "two_brokers_are_refused" {
  command = plan
  variables { private_subnet_ids = ["a", "b"] }
  expect_failures = [var.private_subnet_ids]
}
