variable "name" {
  description = "Beginning of every name here, such as lifeverse-prod-eu-west-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,38}[a-z0-9]$", var.name))
    error_message = "name is 4 to 40 small letters, digits and hyphens, begins with a letter and does not end in a hyphen, such as lifeverse-prod-eu-west-1."
  }
}

variable "log_groups" {
  description = "Log groups with records of invocations: the output log_groups of the edge module."
  type        = map(string)
}

variable "keep_days" {
  description = "Days for which records are kept: what bills are checked against."
  type        = number
  default     = 400

  validation {
    condition     = var.keep_days >= 30 && floor(var.keep_days) == var.keep_days
    error_message = "keep_days is a whole number of at least 30: bills come once in a month."
  }
}

variable "billing_export" {
  description = "Whether AWS puts its own bill (FOCUS 1.2) here each day. In one region of an account."
  type        = bool
  default     = false
}

variable "disposable" {
  description = "Whether the bucket may be destroyed with records in it."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags besides the provider's default tags."
  type        = map(string)
  default     = {}
}
