output "brokers" {
  description = "The brokers to ask first, with SASL over TLS, once they know the user."
  value       = sort(split(",", aws_msk_cluster.this.bootstrap_brokers_sasl_scram))
  depends_on  = [aws_msk_scram_secret_association.this]
}
