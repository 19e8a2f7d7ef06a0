output "bucket" {
  description = "Where records are: invocations/, usage/ and bill/, by day."
  value       = aws_s3_bucket.this.bucket
}
