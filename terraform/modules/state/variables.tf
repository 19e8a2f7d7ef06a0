variable "name" {
  description = "Name of the table, and the beginning of every other name here, such as lifeverse-prod."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,38}[a-z0-9]$", var.name))
    error_message = "name is 4 to 40 small letters, digits and hyphens, begins with a letter and does not end in a hyphen, such as lifeverse-prod."
  }
}

variable "table_name" {
  description = "Name of the table where it is another one's restore; else it is called name. Vault and role keep their names."
  type        = string
  default     = null

  validation {
    condition     = var.table_name == null || can(regex("^[a-z][a-z0-9-]{2,38}[a-z0-9]$", var.table_name))
    error_message = "table_name is written like name: 4 to 40 small letters, digits and hyphens."
  }
}

variable "protected" {
  description = "Whether the table and its backups are kept from being destroyed. Only an environment whose data nobody needs says false."
  type        = bool
  default     = true
}

variable "replicas" {
  description = "Further regions with a copy of the table, each with its own key if the table has one. Terraform's region has the table itself and is not listed."
  type = map(object({
    kms_key_arn = optional(string)
  }))
  default = {}

  validation {
    condition     = alltrue([for region in keys(var.replicas) : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", region))])
    error_message = "A key of replicas is a region of AWS, such as us-east-1."
  }

  validation {
    condition = alltrue([
      for replica in values(var.replicas) : (replica.kms_key_arn == null) == (var.kms_key_arn == null)
    ])
    error_message = "Either the table and every replica have a kms_key_arn (each of its own region), or none has."
  }
}

variable "kms_key_arn" {
  description = "A key of one's own for the table. Without it the account's aws/dynamodb key is used."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key (arn:aws:kms:REGION:ACCOUNT:key/ID), not an alias."
  }
}

variable "recovery_days" {
  description = "Days back to which the table can be restored to any second."
  type        = number
  default     = 35

  validation {
    condition     = var.recovery_days >= 1 && var.recovery_days <= 35 && floor(var.recovery_days) == var.recovery_days
    error_message = "recovery_days is a whole number from 1 to 35."
  }
}

variable "backup" {
  description = "When the table is backed up into the vault (UTC), and for how many days a backup is kept."
  type = object({
    schedule  = optional(string, "cron(15 3 * * ? *)")
    keep_days = optional(number, 35)
  })
  default = {}

  validation {
    condition     = can(regex("^cron\\([^()]+\\)$", var.backup.schedule))
    error_message = "backup.schedule is an expression of AWS Backup, such as cron(15 3 * * ? *)."
  }

  validation {
    condition     = var.backup.keep_days >= 1 && floor(var.backup.keep_days) == var.backup.keep_days
    error_message = "backup.keep_days is a whole number of at least 1."
  }
}

variable "limits" {
  description = "Most units a second that the table serves and bills, a brake on costs; none without it. Stay three times above the plan: what is over it is refused to players."
  type = object({
    read_units  = number
    write_units = number
  })
  default = null

  validation {
    condition     = var.limits == null || (try(var.limits.read_units, 0) >= 1 && try(var.limits.write_units, 0) >= 1)
    error_message = "limits.read_units and limits.write_units are at least 1; leave limits out for no limit."
  }
}

variable "tags" {
  description = "Tags besides the provider's default tags."
  type        = map(string)
  default     = {}
}
