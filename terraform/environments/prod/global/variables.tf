variable "account" {
  description = "The account of production: 12 digits. It has no other environment, since they would share its limits."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account))
    error_message = "account is 12 digits: `aws sts get-caller-identity` shows it."
  }
}

variable "table" {
  description = "The table, where it is a restored one (infra/ops/dr/restore.md); else lifeverse-prod."
  type        = string
  default     = null
}

variable "dev_account" {
  description = "The account of dev, so that nobody gives one for both."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.dev_account)) && var.dev_account != var.account
    error_message = "dev_account is 12 digits, and another account than that of production: limits of requests, executions and machines are an account's, so a test in dev would stop production."
  }
}

variable "regions_file" {
  description = "The regions of production. Another file is for looking at what a further region would change."
  type        = string
  default     = "../regions.json"

  validation {
    condition     = fileexists(var.regions_file)
    error_message = "regions_file is environments/prod/regions.json, as this folder sees it."
  }

  validation {
    condition = alltrue([
      for region, what in try(jsondecode(file(var.regions_file)), { none = null }) :
      can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region)) && can([what.voice_region, what.cidr, what.zones])
    ])
    error_message = "Each entry of regions_file is a region of AWS with voice_region, cidr and zones, as the others have."
  }

  validation {
    condition = alltrue([
      for field in ["cidr", "voice_region"] :
      length(distinct([for what in values(try(jsondecode(file(var.regions_file)), {})) : what[field]])) == length(try(jsondecode(file(var.regions_file)), {}))
    ])
    error_message = "No two regions of regions_file share a cidr or a voice_region."
  }
}

variable "owner" {
  description = "Who is asked about these resources: the tag Owner."
  type        = string
  default     = "voice"
}

variable "cost_centre" {
  description = "Who pays: the tag CostCentre."
  type        = string
  default     = "voice-prod"
}

variable "table_region" {
  description = "The region that has the table; the others have replicas. Chosen once: another one is another table."
  type        = string
  default     = "eu-west-1"

  validation {
    condition     = contains(keys(try(jsondecode(file(var.regions_file)), {})), var.table_region)
    error_message = "table_region is one of the regions in environments/prod/regions.json."
  }
}

variable "state_bucket" {
  description = "The bucket of Terraform's states."
  type        = string
}

variable "github_repository" {
  description = "OWNER/REPOSITORY whose workflows plan, apply and release."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.github_repository))
    error_message = "github_repository is OWNER/REPOSITORY."
  }
}

variable "github_provider_arn" {
  description = "The provider of identities of GitHub, where the account has one."
  type        = string
  default     = null
}

variable "receivers" {
  description = "Addresses of e-mail that are told of costs."
  type        = set(string)
}

variable "anomaly_monitor_arn" {
  description = "A monitor of unusual costs, where the account has one to use."
  type        = string
  default     = null
}

variable "activate_tags" {
  description = "Whether tags are made known to billing: false in the first apply, true from the next day on."
  type        = bool
  default     = false
}
