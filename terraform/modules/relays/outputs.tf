output "role" {
  description = "Name of the role of relays: what enrolment_aws.allow of the edge names."
  value       = aws_iam_role.relay.name
}

output "groups" {
  description = "Name of the group of each colour."
  value       = { for colour, group in aws_autoscaling_group.this : colour => group.name }
}

output "machines_max" {
  description = "Machines at most, of both colours together: quotas of vCPUs and public addresses must hold this many."
  value       = sum([for colour in values(var.colours) : colour.max])
}
