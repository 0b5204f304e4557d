# Where secrets are. Their values are put in by a person or a rotation, never by Terraform: what Terraform knows is in its state.

data "aws_caller_identity" "this" {}

data "aws_region" "this" {}

data "aws_iam_policy_document" "key" {
  # checkov:skip=CKV_AWS_109:in a key's own policy, * is that key
  # checkov:skip=CKV_AWS_111:in a key's own policy, * is that key
  # checkov:skip=CKV_AWS_356:in a key's own policy, * is that key

  # The account decides by IAM who may use it.
  statement {
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.this.account_id}:root"]
    }
  }
  # Logs ask for themselves, and only for groups of this account.
  statement {
    actions   = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
    resources = ["*"]
    principals {
      type        = "Service"
      identifiers = ["logs.${data.aws_region.this.region}.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = ["arn:aws:logs:${data.aws_region.this.region}:${data.aws_caller_identity.this.account_id}:*"]
    }
  }
}

resource "aws_kms_key" "this" {
  description             = "Encrypts what belongs to ${var.name}"
  policy                  = data.aws_iam_policy_document.key.json
  enable_key_rotation     = true
  deletion_window_in_days = 30
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

resource "aws_secretsmanager_secret" "this" {
  for_each = {
    access-token = "The key that signs access tokens"
    database-url = "PostgreSQL's URL, with the user of the service"
    accounts     = "The accounts to put in place, as JSON"
    operators    = "Who may sign in to the console, as JSON"
    target       = "What each call of the target says in its Authorization header"
  }
  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 30
}

# MSK takes secrets only under such a name.
resource "aws_secretsmanager_secret" "kafka" {
  name                    = "AmazonMSK_${var.name}"
  description             = "User and password at the brokers"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 30
}

# The brokers read it. MSK puts this policy there by itself, too; said here, no plan wants to take it away.
data "aws_iam_policy_document" "kafka" {
  # checkov:skip=CKV_AWS_108:it stands at the one secret that it names

  statement {
    sid       = "AWSKafkaResourcePolicy"
    actions   = ["secretsmanager:getSecretValue"]
    resources = [aws_secretsmanager_secret.kafka.arn]
    principals {
      type        = "Service"
      identifiers = ["kafka.amazonaws.com"]
    }
  }
}

resource "aws_secretsmanager_secret_policy" "kafka" {
  secret_arn          = aws_secretsmanager_secret.kafka.arn
  policy              = data.aws_iam_policy_document.kafka.json
  block_public_policy = true
}
