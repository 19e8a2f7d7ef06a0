variable "account" {
  description = "The account of this environment: 12 digits. Dev and production share none, since they would share its limits."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account))
    error_message = "account is 12 digits: `aws sts get-caller-identity` shows it."
  }
}

variable "region" {
  description = "The region of AWS."
  type        = string
  default     = "eu-west-1"

  validation {
    condition     = contains(["eu-west-1", "eu-central-1", "us-east-1", "us-west-2", "ap-southeast-1", "ap-northeast-1"], var.region)
    error_message = "region is one of eu-west-1, eu-central-1, us-east-1, us-west-2, ap-southeast-1 and ap-northeast-1. Another one goes into this list once its quotas are known (terraform/README.md)."
  }
}

variable "voice_region" {
  description = "What the service calls this region: where rooms are placed that name none."
  type        = string
  default     = "eu"
}

variable "packages" {
  description = "Folder with NAME-lambda/bootstrap.zip for each function: what `cargo xtask lambda` makes for arm64."
  type        = string
  default     = "../../../target/lambda/arm64"
}

variable "relay_control_hosts" {
  description = "Where functions may reach relays, such as http://203.0.113.7:7412."
  type        = list(string)
  default     = []
}

variable "relays" {
  description = "Relays of dev, one machine of AWS's spare ones. Without it there is an edge alone. The release is in the artefact bucket before."
  type = object({
    version        = string
    ami            = string
    release_key    = string
    instance_types = optional(list(string), ["t4g.small", "t4g.medium"])
    participants   = optional(number, 200)
  })
  default = null
}

variable "budget" {
  description = "Who is told when a month of dev nears what infra/ops/budgets.json says, and roles that start nothing more at 100 %. Without it nobody is told."
  type = object({
    receivers   = set(string)
    brake_roles = optional(set(string), [])
  })
  default = null
}

variable "queues" {
  description = "Queues of matchmaking that are looked at each minute though nobody asks."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for queue in var.queues : can(regex("^[a-z0-9][a-z0-9-]{0,31}$", queue))])
    error_message = "An entry of queues is the name of a queue: up to 32 small letters, digits and hyphens."
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
  default     = "voice-dev"
}

variable "grants_file" {
  description = "A permissions.json whose grants hold beside those of this version: deployments set it while two versions have traffic."
  type        = string
  default     = null
}

variable "colours" {
  description = "What blue and green run, where it is not the same: deployments set it. Images and most machines as in the relays module."
  type = map(object({
    version = string
    ami     = string
    min     = optional(number, 0)
    max     = number
  }))
  default = null
}
