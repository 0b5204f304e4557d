# Three zones, each with its own way out.

mock_provider "aws" {}

variables {
  name                = "x"
  cidr                = "10.40.0.0/16"
  zones               = ["a", "b", "c"]
  flow_log_bucket_arn = "arn:aws:s3:::flow-logs"
}

run "a_zone_does_not_depend_on_another" {
  command = plan

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(aws_route_table.private) == 3
    error_message = "each zone has a gateway and a route of its own"
  }
  assert {
    condition     = length(distinct(concat([for s in aws_subnet.private : s.cidr_block], [for s in aws_subnet.public : s.cidr_block]))) == 6
    error_message = "no two subnets overlap"
  }
}

run "two_zones_are_refused" {
  command = plan
  variables { zones = ["a", "b"] }
  expect_failures = [var.zones]
}

run "a_network_too_small_is_refused" {
  command = plan
  variables { cidr = "10.40.0.0/24" }
  expect_failures = [var.cidr]
}
