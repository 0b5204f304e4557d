# Kafka: a broker in each zone, three copies of every record of which two must have it before it counts; TLS, and SCRAM for who connects.

resource "aws_security_group" "this" {
  name        = "${var.name}-kafka"
  description = "Kafka: from the cluster alone"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = var.client_security_group_id
  description                  = "SASL over TLS, from the cluster"
  ip_protocol                  = "tcp"
  from_port                    = 9096
  to_port                      = 9096
}

resource "aws_msk_configuration" "this" {
  # One for each version of Kafka: another version makes another one, beside the one in use, and no two may have one name.
  name           = "${var.name}-${replace(var.kafka_version, ".", "-")}"
  kafka_versions = [var.kafka_version]

  # A record that is acknowledged survives the loss of a zone; a replica that lags never becomes leader; a pod's clock decides nothing about
  # retention; no topic appears by a slip; whom no ACL names is refused.
  server_properties = <<-PROPERTIES
    default.replication.factor=3
    min.insync.replicas=2
    unclean.leader.election.enable=false
    log.message.timestamp.type=LogAppendTime
    auto.create.topics.enable=false
    log.retention.hours=${var.retention_hours}
    allow.everyone.if.no.acl.found=${!var.acls_required}
  PROPERTIES

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/msk/${var.name}"
  retention_in_days = 365
  kms_key_id        = var.kms_key_arn
}

resource "aws_msk_cluster" "this" {
  cluster_name           = var.name
  kafka_version          = var.kafka_version
  number_of_broker_nodes = length(var.private_subnet_ids)
  enhanced_monitoring    = "PER_TOPIC_PER_BROKER"

  broker_node_group_info {
    instance_type   = var.instance_type
    client_subnets  = var.private_subnet_ids
    security_groups = [aws_security_group.this.id]

    storage_info {
      ebs_storage_info {
        volume_size = var.storage_gib
      }
    }

    connectivity_info {
      public_access {
        type = "DISABLED"
      }
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.this.arn
    revision = aws_msk_configuration.this.latest_revision
  }

  client_authentication {
    unauthenticated = false
    sasl {
      scram = true
    }
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = var.kms_key_arn
    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }

  open_monitoring {
    prometheus {
      jmx_exporter {
        enabled_in_broker = true
      }
      node_exporter {
        enabled_in_broker = true
      }
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.this.name
      }
    }
  }
}

# The user at the brokers. MSK takes no empty secret, and who is not taken cannot log in: so it comes once the secret has its value, and before
# anything runs.
resource "aws_msk_scram_secret_association" "this" {
  count           = var.scram_secret_filled ? 1 : 0
  cluster_arn     = aws_msk_cluster.this.arn
  secret_arn_list = [var.scram_secret_arn]
}
