# Who plans for the pipeline: a role that reads how things are set and changes nothing, whatever a pull request makes of the workflow. It
# reads no secret and no object but the state, and is somebody in one environment of one repository alone.

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = [var.github_oidc_provider_arn]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:sub"
      values   = [var.plan_subject]
    }
    condition {
      test     = "StringEquals"
      variable = "token.actions.githubusercontent.com:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "read_state_alone" {
  statement {
    actions   = ["s3:GetObject"]
    resources = ["${var.state_bucket_arn}/${var.state_key}"]
  }
  statement {
    actions   = ["s3:ListBucket"]
    resources = [var.state_bucket_arn]
  }
  # What AWS calls read-only reads contents as well.
  statement {
    effect    = "Deny"
    actions   = ["secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "ssm:GetParameter*"]
    resources = ["*"]
  }
  statement {
    effect        = "Deny"
    actions       = ["s3:GetObject*"]
    not_resources = ["${var.state_bucket_arn}/${var.state_key}"]
  }
}

resource "aws_iam_role" "plan" {
  name               = "${var.name}-plan"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy_attachment" "plan" {
  role       = aws_iam_role.plan.name
  policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
}

resource "aws_iam_role_policy" "plan" {
  name   = "read-state-alone"
  role   = aws_iam_role.plan.id
  policy = data.aws_iam_policy_document.read_state_alone.json
}
