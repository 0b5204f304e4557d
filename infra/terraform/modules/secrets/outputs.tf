output "kms_key_arn" {
  description = "The key of everything that belongs to the service."
  value       = aws_kms_key.this.arn
}

output "kafka_secret_arn" {
  description = "The secret with user and password at the brokers, once they may read it."
  value       = aws_secretsmanager_secret_policy.kafka.secret_arn
}

output "secret_arns" {
  description = "All secrets, for whoever brings them into the cluster."
  value       = concat([for secret in aws_secretsmanager_secret.this : secret.arn], [aws_secretsmanager_secret.kafka.arn])
}
