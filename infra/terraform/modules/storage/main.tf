# The class of volumes that spools ask for, and the cluster's default: a new cluster has none. By Helm, as the service itself, so that the
# cluster is asked in one way.

resource "helm_release" "this" {
  name            = "storage"
  chart           = "${path.module}/chart"
  namespace       = "kube-system"
  atomic          = true
  cleanup_on_fail = true
  max_history     = 3

  values = [yamlencode({ name = "gp3", kmsKeyId = var.kms_key_arn })]
}
