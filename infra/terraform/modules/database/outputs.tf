output "address" {
  description = "Where it is."
  value       = aws_db_instance.this.address
}

output "master_secret_arn" {
  description = "The secret with the administrator's password, which the service rotates."
  value       = aws_db_instance.this.master_user_secret[0].secret_arn
}
