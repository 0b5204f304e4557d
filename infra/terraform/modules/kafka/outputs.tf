output "brokers" {
  description = "The brokers to ask first, with SASL over TLS."
  value       = sort(split(",", aws_msk_cluster.this.bootstrap_brokers_sasl_scram))
}
