variable "name" {
  description = "Beginning of every name here, such as lifeverse-prod-eu-west-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,38}[a-z0-9]$", var.name))
    error_message = "name is 4 to 40 small letters, digits and hyphens, begins with a letter and does not end in a hyphen, such as lifeverse-prod-eu-west-1."
  }
}

variable "network" {
  description = "Where relays are: outputs of the network module."
  type = object({
    subnet_ids        = list(string)
    security_group_id = string
    media_ports       = number
  })
}

variable "edge_url" {
  description = "The edge that relays enrol at, as its setting edge_url has it."
  type        = string

  validation {
    condition     = can(regex("^https://[^/?#\\s]+$", var.edge_url))
    error_message = "edge_url is https://HOST without a path: proofs of enrolment are signed for this host."
  }
}

variable "voice_region" {
  description = "What the service calls this region, such as eu."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,31}$", var.voice_region))
    error_message = "voice_region is up to 32 small letters, digits and hyphens, such as eu."
  }
}

variable "artefacts" {
  description = "The bucket with releases (a folder for each version), and the public half of the key that they are signed with."
  type = object({
    bucket      = string
    region      = string
    release_key = string
  })

  validation {
    condition     = can(regex("^-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+\n-----END PUBLIC KEY-----\n?$", var.artefacts.release_key))
    error_message = "artefacts.release_key is the text of release.pem (`cargo xtask keys release --public release.pem`): -----BEGIN PUBLIC KEY----- and so on."
  }

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.artefacts.bucket))
    error_message = "artefacts.bucket is the name of a bucket, not its ARN."
  }
}

variable "colours" {
  description = "The two groups of relays, blue and green: what each runs. At rest one of them has min 0. `min` is what a group is made with; later the deployment moves it."
  type = map(object({
    # A folder of the artefact bucket, such as 0.1.0.
    version = string
    # An image of Ubuntu 24.04 or newer for the processor of instance_types, by its id: what is tested is what runs.
    ami = string
    min = optional(number, 0)
    max = number
  }))

  validation {
    condition     = toset(keys(var.colours)) == toset(["blue", "green"])
    error_message = "colours has blue and green, and no other."
  }

  validation {
    condition     = alltrue([for colour in values(var.colours) : can(regex("^ami-([0-9a-f]{8}|[0-9a-f]{17})$", colour.ami))])
    error_message = "The ami of a colour is an id, such as ami-0123456789abcdef0: names and \"latest\" change what runs without a plan that says so."
  }

  validation {
    condition     = alltrue([for colour in values(var.colours) : can(regex("^[0-9]+\\.[0-9]+\\.[0-9]+$", colour.version))])
    error_message = "The version of a colour is a release, such as 0.1.0."
  }

  validation {
    condition     = alltrue([for colour in values(var.colours) : colour.min >= 0 && colour.max >= 1 && colour.min <= colour.max && colour.max <= 200])
    error_message = "A colour has 0 <= min <= max, and max from 1 to 200."
  }
}

variable "instance_types" {
  description = "Types of machines, best first, all of one processor; several, since one may be sold out. Types that begin with t have a network of 128 Mbit/s at rest and a processor on credit."
  type        = list(string)
  default     = ["c7g.large", "c6g.large", "m7g.large"]

  validation {
    condition     = length(var.instance_types) > 0 && alltrue([for kind in var.instance_types : can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9]+$", kind))])
    error_message = "instance_types is a list of types, such as [\"c7g.large\"]."
  }
}

variable "spot" {
  description = "Whether machines may be taken back by AWS two minutes after it says so, for a third of the price. Not in production."
  type        = bool
  default     = false
}

variable "capacity" {
  description = "Most participants of a shard, and shards of a machine (0: one for each processor, up to the open media ports)."
  type = object({
    participants = optional(number, 1000)
    shards       = optional(number, 0)
  })
  default = {}

  validation {
    condition     = var.capacity.participants >= 1 && var.capacity.shards >= 0 && var.capacity.shards <= 128
    error_message = "capacity.participants is at least 1, and capacity.shards from 0 to 128."
  }
}

variable "remote_write" {
  description = "Where the agent on each relay sends metrics (Prometheus remote write), and the ARN of the workspace where that is Amazon's. Nothing is sent without it."
  type = object({
    url           = string
    workspace_arn = optional(string)
  })
  default = null

  validation {
    condition     = var.remote_write == null || can(regex("^https://[^\\s\"'\\\\$]+$", var.remote_write.url))
    error_message = "remote_write.url is https://HOST/PATH."
  }
}

variable "records" {
  description = "The bucket that usage records are brought to, and its region: output of the records module. They stay on the machine without it, and end with it."
  type = object({
    bucket = string
    region = string
  })
  default = null

  validation {
    condition     = var.records == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.records.bucket))
    error_message = "records.bucket is the name of a bucket, not its ARN."
  }
}

variable "disposable" {
  description = "Whether groups may be destroyed with machines in them, which nobody drains. Not in production."
  type        = bool
  default     = false
}

variable "kms_key_arn" {
  description = "A key of one's own for the disks. Without it the account's aws/ebs key is used."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[^*]+$", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not an alias."
  }
}

variable "tags" {
  description = "All tags of what the groups start, those of the provider's default_tags among them: these reach no machine, disk or interface that a group starts."
  type        = map(string)

  validation {
    condition     = alltrue([for tag in ["Project", "Env", "Owner", "CostCentre", "ManagedBy"] : contains(keys(var.tags), tag)])
    error_message = "tags has Project, Env, Owner, CostCentre and ManagedBy: machines have no other way to get them."
  }
}
