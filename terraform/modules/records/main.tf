locals {
  tags = merge(var.tags, { Component = "records" })

  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id

  bucket     = "${var.name}-records-${local.account}"
  bucket_arn = "arn:${local.partition}:s3:::${local.bucket}"
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_144:records of a region stay in it; what is billed is AWS's own export
  #checkov:skip=CKV_AWS_145:records hold no ids of players; S3 encrypts with its own key
  #checkov:skip=CKV_AWS_18:writers are named below, readers are people, and CloudTrail has their calls
  #checkov:skip=CKV2_AWS_62:records are read once a day, by a clock
  bucket        = local.bucket
  force_destroy = var.disposable
  tags          = local.tags
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "old records"
    status = "Enabled"

    filter {}

    expiration {
      days = var.keep_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 30
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "TlsAlone"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      !var.billing_export ? [] : [{
        Sid       = "Bill"
        Effect    = "Allow"
        Principal = { Service = ["bcm-data-exports.amazonaws.com", "billingreports.amazonaws.com"] }
        Action    = ["s3:PutObject", "s3:GetBucketPolicy"]
        Resource  = [local.bucket_arn, "${local.bucket_arn}/bill/*"]
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      }],
    )
  })
}

# Lines of the functions' logs go on as they are, in files of a few minutes.
resource "aws_iam_role" "stream" {
  name = "${var.name}-records"
  tags = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for service in ["firehose.amazonaws.com", "logs.amazonaws.com"] : {
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { Service = service }
      }
    ]
  })
}

resource "aws_iam_role_policy" "stream" {
  name = "records"
  role = aws_iam_role.stream.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Write"
        Effect   = "Allow"
        Action   = ["s3:PutObject", "s3:AbortMultipartUpload"]
        Resource = ["${local.bucket_arn}/invocations/*", "${local.bucket_arn}/failed/*"]
      },
      {
        Sid      = "Find"
        Effect   = "Allow"
        Action   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
        Resource = [local.bucket_arn]
      },
      {
        Sid      = "HandOn"
        Effect   = "Allow"
        Action   = ["firehose:PutRecord", "firehose:PutRecordBatch"]
        Resource = ["arn:${local.partition}:firehose:${local.region}:${local.account}:deliverystream/${var.name}-records"]
      },
    ]
  })
}

resource "aws_kinesis_firehose_delivery_stream" "this" {
  #checkov:skip=CKV_AWS_241:records hold no ids of players; the stream is encrypted with a key of AWS
  name        = "${var.name}-records"
  destination = "extended_s3"
  tags        = local.tags

  server_side_encryption {
    enabled = true
  }

  extended_s3_configuration {
    role_arn            = aws_iam_role.stream.arn
    bucket_arn          = aws_s3_bucket.this.arn
    prefix              = "invocations/!{timestamp:yyyy/MM/dd}/"
    error_output_prefix = "failed/!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd}/"
    buffering_interval  = 300
    buffering_size      = 64
    # What logs hand on is compressed already.
    compression_format = "UNCOMPRESSED"

    processing_configuration {
      enabled = true

      processors {
        type = "Decompression"

        parameters {
          parameter_name  = "CompressionFormat"
          parameter_value = "GZIP"
        }
      }

      processors {
        type = "CloudWatchLogProcessing"

        parameters {
          parameter_name  = "DataMessageExtraction"
          parameter_value = "true"
        }
      }
    }
  }
}

resource "aws_cloudwatch_log_subscription_filter" "this" {
  for_each = var.log_groups

  name            = "${var.name}-records"
  log_group_name  = each.value
  filter_pattern  = "kind invocation"
  destination_arn = aws_kinesis_firehose_delivery_stream.this.arn
  role_arn        = aws_iam_role.stream.arn

  depends_on = [aws_iam_role_policy.stream]
}

resource "aws_bcmdataexports_export" "bill" {
  provider = aws.billing
  count    = var.billing_export ? 1 : 0

  tags = local.tags

  export {
    name = "${var.name}-focus"

    data_query {
      query_statement = "SELECT * FROM FOCUS_1_2_AWS"
      # AWS writes these two down whether they are said or not; unsaid, the next plan replaces all.
      table_configurations = {
        FOCUS_1_2_AWS = {
          BILLING_VIEW_ARN                      = "arn:${local.partition}:billing::${local.account}:billingview/primary"
          INCLUDE_MANUAL_DISCOUNT_COMPATIBILITY = "FALSE"
        }
      }
    }

    destination_configurations {
      s3_destination {
        s3_bucket = aws_s3_bucket.this.bucket
        s3_prefix = "bill"
        s3_region = local.region

        s3_output_configurations {
          overwrite   = "OVERWRITE_REPORT"
          format      = "TEXT_OR_CSV"
          compression = "GZIP"
          output_type = "CUSTOM"
        }
      }
    }

    refresh_cadence {
      frequency = "SYNCHRONOUS"
    }
  }

  lifecycle {
    ignore_changes = [export[0].data_query[0].table_configurations]
  }

  depends_on = [aws_s3_bucket_policy.this]
}
