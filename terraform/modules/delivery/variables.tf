variable "name" {
  description = "Beginning of every name here, such as lifeverse-prod. What CI may change begins with it too."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,38}[a-z0-9]$", var.name))
    error_message = "name is 4 to 40 small letters, digits and hyphens, begins with a letter and does not end in a hyphen, such as lifeverse-prod."
  }
}

variable "state_bucket" {
  description = "The bucket of Terraform's state."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "state_bucket is the name of a bucket, not its ARN."
  }
}

variable "subjects" {
  description = "Which jobs of GitHub may take which role, whole: repo:OWNER/REPOSITORY:environment:prod. plan only reads; apply changes; release puts releases into the bucket. A role that nobody may take is not made."
  type = object({
    plan    = optional(set(string), [])
    apply   = optional(set(string), [])
    release = optional(set(string), [])
  })
  default = {}

  validation {
    condition = alltrue([
      for subject in flatten([for subjects in values(var.subjects) : tolist(subjects)]) :
      can(regex("^repo:[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+:(environment:[A-Za-z0-9_.-]+|ref:refs/(heads|tags)/[A-Za-z0-9_./-]+|pull_request)$", subject))
    ])
    error_message = "An entry of subjects is whole, such as repo:owner/repository:environment:prod; a * would let in every repository of somebody."
  }

  validation {
    condition     = alltrue([for subject in concat(tolist(var.subjects.apply), tolist(var.subjects.release)) : !endswith(subject, ":pull_request")])
    error_message = "A pull request is anybody's: it may plan, and neither apply nor release."
  }
}

variable "provider_arn" {
  description = "The provider of identities of GitHub where the account has one already: there can be one only."
  type        = string
  default     = null

  validation {
    condition     = var.provider_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com$", var.provider_arn))
    error_message = "provider_arn is arn:aws:iam::ACCOUNT:oidc-provider/token.actions.githubusercontent.com."
  }
}

variable "disposable" {
  description = "Whether the bucket may be destroyed with releases in it."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags besides the provider's default tags."
  type        = map(string)
  default     = {}
}
