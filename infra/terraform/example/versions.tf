terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
    helm = {
      source  = "hashicorp/helm"
      version = ">= 3.0, < 4.0"
    }
  }

  # The state is in S3, versioned and encrypted, and locked by a file beside it; `terraform init -backend-config=` names bucket and key.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { service = var.name, environment = var.environment, managed-by = "terraform" }
  }
}

# What is installed is remembered in ConfigMaps, not in Secrets: whoever plans has to read it, and no secret. The chart has none in it.
provider "helm" {
  helm_driver = "configmap"
  kubernetes = {
    host                   = module.cluster.endpoint
    cluster_ca_certificate = base64decode(module.cluster.certificate_authority)
    exec = {
      api_version = "client.authentication.k8s.io/v1beta1"
      command     = "aws"
      args        = ["eks", "get-token", "--cluster-name", module.cluster.name, "--region", var.region]
    }
  }
}
