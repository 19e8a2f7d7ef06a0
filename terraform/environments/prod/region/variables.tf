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

variable "region" {
  description = "The region of AWS: one of environments/prod/regions.json, and that of this state."
  type        = string

  validation {
    condition     = contains(keys(try(jsondecode(file(var.regions_file)), {})), var.region)
    error_message = "region is one of environments/prod/regions.json. A new one is an entry there first, and an apply of ../global."
  }
}

variable "packages" {
  description = "Folder with NAME-lambda/bootstrap.zip for each function: what `cargo xtask lambda` makes for arm64."
  type        = string
  default     = "../../../../target/lambda/arm64"
}

variable "zone_id" {
  description = "The public zone of Route 53 that domain is in."
  type        = string
}

variable "domain" {
  description = "Where players reach the edge: voice.example.com, the same in every region."
  type        = string
}

variable "artefacts" {
  description = "Output artefact_bucket of ../global, the region of that bucket, and the text of release.pem."
  type = object({
    bucket      = string
    region      = string
    release_key = string
  })
}

variable "colours" {
  description = "What blue and green run here, and how many machines: see the relays module. Images differ from region to region."
  type = map(object({
    version = string
    ami     = string
    min     = optional(number, 0)
    max     = number
  }))
}

variable "participants" {
  description = "Most participants of a shard."
  type        = number
  default     = 1000
}

variable "throttling" {
  description = "Requests a second for all routes together, and how many at once. The account has 10,000 a second in a region, 2,500 in some."
  type = object({
    rate_limit  = number
    burst_limit = number
  })
  default = { rate_limit = 2000, burst_limit = 1000 }
}

variable "account_concurrency" {
  description = "Executions of Lambda at once that the account has here: `aws lambda get-account-settings`."
  type        = number
}

variable "receivers" {
  description = "Who is told of alarms: e-mail or https addresses."
  type        = set(string)
}

variable "remote_write_url" {
  description = "A Prometheus of one's own for the metrics of relays. Without it they go to a workspace of Amazon's here."
  type        = string
  default     = null
}

variable "billing_region" {
  description = "The region whose bucket has AWS's own bill."
  type        = string
  default     = "eu-west-1"

  validation {
    condition     = contains(keys(try(jsondecode(file(var.regions_file)), {})), var.billing_region)
    error_message = "billing_region is one of environments/prod/regions.json."
  }
}

variable "queues" {
  description = "Queues of matchmaking that are looked at each minute though nobody asks."
  type        = set(string)
  default     = []
}

variable "grants_file" {
  description = "A permissions.json whose grants hold beside those of this version: deployments set it while two versions have traffic."
  type        = string
  default     = null
}
