terraform {
  required_version = "~> 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # Bucket and region come from `terraform init -backend-config`: they are the account's.
  backend "s3" {
    key          = "lifeverse/prod/global.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = var.table_region
  # Credentials of another account are refused before anything is read.
  allowed_account_ids = [var.account]

  default_tags {
    tags = local.tags
  }
}
