# A cluster that is closed to the world and can replace its nodes.

mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/x" }
  }
}

variables {
  name               = "x"
  kubernetes_version = "1.34"
  private_subnet_ids = ["a", "b", "c"]
  kms_key_arn        = "arn:aws:kms:eu-central-1:111122223333:key/x"
  admin_role_arns    = ["arn:aws:iam::111122223333:role/pipeline"]
}

run "the_api_is_private_and_secrets_are_encrypted" {
  command = plan

  assert {
    condition     = !aws_eks_cluster.this.vpc_config[0].endpoint_public_access && aws_eks_cluster.this.vpc_config[0].endpoint_private_access
    error_message = "from inside the network alone"
  }
  assert {
    condition     = tolist(aws_eks_cluster.this.encryption_config[0].resources) == tolist(["secrets"])
    error_message = "secrets are encrypted by a key of ours"
  }
  assert {
    condition     = length(aws_eks_node_group.this) == 3
    error_message = "a group of nodes per zone"
  }
}

run "who_makes_volumes_has_a_role_of_its_own" {
  command = plan

  assert {
    condition     = [for one in aws_eks_addon.volumes.pod_identity_association : one.service_account] == ["ebs-csi-controller-sa"]
    error_message = "nodes give no pod their credentials, so the driver's account needs its own"
  }
  assert {
    condition     = contains(data.aws_iam_policy_document.assume_volumes.statement[0].actions, "sts:TagSession") && contains(keys(aws_eks_addon.this), "eks-pod-identity-agent")
    error_message = "the agent can hand out that role"
  }
  assert {
    condition     = alltrue([for one in data.aws_iam_policy_document.encrypt_volumes.statement : tolist(one.resources) == tolist([var.kms_key_arn])])
    error_message = "one key, by its name"
  }
  assert {
    condition     = alltrue([for policy in keys(aws_iam_role_policy_attachment.node) : !strcontains(policy, "EBSCSI")])
    error_message = "a node makes no volumes"
  }
}

run "network_policies_are_kept" {
  command = plan

  assert {
    condition     = jsondecode(aws_eks_addon.this["vpc-cni"].configuration_values) == { enableNetworkPolicy = "true" }
    error_message = "the chart's policies have an effect"
  }
  assert {
    condition     = alltrue([for addon in aws_eks_addon.this : addon.resolve_conflicts_on_create == "OVERWRITE"])
    error_message = "what a new cluster brings along is taken over"
  }
}

run "who_may_look_sees_no_secret" {
  command = plan
  variables { viewer_role_arns = { plan = "arn:aws:iam::111122223333:role/plan" } }

  assert {
    condition     = aws_eks_access_policy_association.viewer["plan"].policy_arn == "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    error_message = "the policies above it show secrets"
  }
}

run "the_whole_world_is_refused" {
  command = plan
  variables { api_allowed_cidrs = ["0.0.0.0/0"] }
  expect_failures = [var.api_allowed_cidrs]
}

run "a_kubernetes_too_old_for_the_chart_is_refused" {
  command = plan
  variables { kubernetes_version = "1.29" }
  expect_failures = [var.kubernetes_version]
}

run "nodes_that_cannot_be_replaced_are_refused" {
  command = plan
  variables { nodes_per_zone = { min = 2, max = 2 } }
  expect_failures = [var.nodes_per_zone]
}
