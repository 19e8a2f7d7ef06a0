output "table_name" {
  description = "Name of the table: what the edge module takes. It is the same in every region."
  value       = aws_dynamodb_table.this.name
}

output "table_arn" {
  description = "ARN of the table in Terraform's region."
  value       = aws_dynamodb_table.this.arn
}

output "vault_name" {
  description = "Name of the backup vault."
  value       = aws_backup_vault.this.name
}
