terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
      # The bill is told in us-east-1 alone.
      configuration_aliases = [aws.billing]
    }
  }
}
