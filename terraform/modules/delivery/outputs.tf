output "roles" {
  description = "ARN of the role of each kind of job: plan, apply, release."
  value       = { for kind, role in aws_iam_role.ci : kind => role.arn }
}

output "artefact_bucket" {
  description = "Where releases are, a folder for each version."
  value       = aws_s3_bucket.artefacts.bucket
}
