variable "name" {
  description = "Beginning of every name here, such as lifeverse-prod."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,38}[a-z0-9]$", var.name))
    error_message = "name is 4 to 40 small letters, digits and hyphens, begins with a letter and does not end in a hyphen, such as lifeverse-prod."
  }
}

variable "monthly_usd" {
  description = "What a month may cost, in dollars."
  type        = number

  validation {
    condition     = var.monthly_usd > 0
    error_message = "monthly_usd is over 0."
  }
}

variable "receivers" {
  description = "Addresses of e-mail that are told."
  type        = set(string)

  validation {
    condition     = length(var.receivers) >= 1 && length(var.receivers) <= 10 && alltrue([for receiver in var.receivers : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", receiver))])
    error_message = "receivers is 1 to 10 addresses of e-mail, which is what AWS Budgets takes."
  }
}

variable "brake_roles" {
  description = "Roles that start nothing any more once the budget is used up. In dev alone: in production it would stop relays from being replaced."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for role in var.brake_roles : can(regex("^[\\w+=,.@-]{1,64}$", role))])
    error_message = "An entry of brake_roles is the name of a role, not its ARN."
  }
}

variable "anomaly_monitor_arn" {
  description = "A monitor of the account to use. Without it one of the tag Project is made: of the kind by service there can be one only, and new accounts have it."
  type        = string
  default     = null

  validation {
    condition     = var.anomaly_monitor_arn == null || can(regex("^arn:aws[a-z-]*:ce::[0-9]{12}:anomalymonitor/.+$", var.anomaly_monitor_arn))
    error_message = "anomaly_monitor_arn is arn:aws:ce::ACCOUNT:anomalymonitor/ID: `aws ce get-anomaly-monitors` shows it."
  }
}

variable "anomaly_usd" {
  description = "From how many dollars over the usual on they are told."
  type        = number
  default     = 20

  validation {
    condition     = var.anomaly_usd > 0
    error_message = "anomaly_usd is over 0."
  }
}

variable "activate_tags" {
  description = "Whether the tags are made known to billing. That fails until a day after the first resource has them: false in the first apply, true from the second day on. What was before is never told apart."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags besides the provider's default tags."
  type        = map(string)
  default     = {}
}
