variable "name" {
  description = "Beginning of every name here, such as lifeverse-prod-eu-west-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,38}[a-z0-9]$", var.name))
    error_message = "name is 4 to 40 small letters, digits and hyphens, begins with a letter and does not end in a hyphen, such as lifeverse-prod-eu-west-1."
  }
}

variable "receivers" {
  description = "Who is told: addresses of e-mail, and https addresses of a pager."
  type        = set(string)

  validation {
    condition     = length(var.receivers) > 0 && alltrue([for receiver in var.receivers : can(regex("^(https://[^\\s]+|[^@\\s]+@[^@\\s]+\\.[^@\\s]+)$", receiver))])
    error_message = "receivers has at least one address of e-mail, or an https address; an alarm that tells nobody is none."
  }
}

variable "edge" {
  description = "What is watched of the edge: outputs api_id and functions of the edge module."
  type = object({
    api_id    = string
    functions = map(object({ name = string }))
  })
}

variable "table_name" {
  description = "The table."
  type        = string
}

variable "replica_regions" {
  description = "Regions that the table is copied to from here: each has an alarm on how far behind it is."
  type        = set(string)
  default     = []
}

variable "groups" {
  description = "Groups of relays by colour: the output groups of the relays module."
  type        = map(string)
  default     = {}
}

variable "account_concurrency" {
  description = "Executions of Lambda at once that the account has in this region (`aws lambda get-account-settings`): 80 % of it is an alarm."
  type        = number

  validation {
    condition     = var.account_concurrency >= 10
    error_message = "account_concurrency is at least 10, which is what new accounts have."
  }
}

variable "thresholds" {
  description = "From where on it is an alarm."
  type = object({
    edge_errors_percent = optional(number, 1)
    edge_requests_min   = optional(number, 50)
    edge_latency_p99_ms = optional(number, 2000)
    replica_lag_ms      = optional(number, 10000)
  })
  default = {}

  validation {
    condition     = alltrue([for threshold in values(var.thresholds) : threshold > 0]) && var.thresholds.edge_errors_percent < 100
    error_message = "Each of thresholds is over 0, and edge_errors_percent under 100."
  }
}

variable "workspace" {
  description = "Whether metrics of relays go to a workspace of Amazon Managed Service for Prometheus here, rather than to a Prometheus of one's own."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days for which logs of the workspace are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400], var.log_retention_days)
    error_message = "log_retention_days is one of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365 and 400; CloudWatch knows no other."
  }
}

variable "tags" {
  description = "Tags besides the provider's default tags."
  type        = map(string)
  default     = {}
}
