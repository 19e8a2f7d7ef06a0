locals {
  tags = merge(var.tags, { Component = "delivery" })

  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  issuer       = "token.actions.githubusercontent.com"
  provider_arn = coalesce(var.provider_arn, "arn:${local.partition}:iam::${local.account}:oidc-provider/${local.issuer}")
  # Names of buckets are everybody's, so the account's number makes this one ours.
  bucket     = "${var.name}-artefacts-${local.account}"
  bucket_arn = "arn:${local.partition}:s3:::${local.bucket}"
  state_arn  = "arn:${local.partition}:s3:::${var.state_bucket}"

  # Of AWS's own policies; what they lack or have too much of is below.
  managed = { plan = "ReadOnlyAccess", apply = "PowerUserAccess" }

  lock = {
    Sid      = "Lock"
    Effect   = "Allow"
    Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    Resource = ["${local.state_arn}/*.tflock"]
  }
  inline = {
    plan = [local.lock]
    apply = [
      local.lock,
      {
        Sid    = "Roles"
        Effect = "Allow"
        Action = [
          "iam:AttachRolePolicy", "iam:CreateInstanceProfile", "iam:CreateRole", "iam:DeleteInstanceProfile", "iam:DeleteRole",
          "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile",
          "iam:GetInstanceProfile", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole",
          "iam:ListRolePolicies", "iam:PassRole", "iam:PutRolePolicy", "iam:TagInstanceProfile", "iam:TagRole", "iam:UntagRole",
          "iam:UpdateAssumeRolePolicy", "iam:UpdateRoleDescription",
        ]
        Resource = [for kind in ["role", "instance-profile"] : "arn:${local.partition}:iam::${local.account}:${kind}/${var.name}-*"]
      },
    ]
    release = [{
      Sid      = "Releases"
      Effect   = "Allow"
      Action   = ["s3:PutObject", "s3:GetObject"]
      Resource = ["${local.bucket_arn}/*"]
    }]
  }
}

# A role that nobody may take is not made.
locals {
  roles = { for kind, statements in local.inline : kind => statements if length(var.subjects[kind]) > 0 }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.provider_arn == null && length(local.roles) > 0 ? 1 : 0

  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
  tags           = local.tags
}

# What no role of CI may do, whatever else it may.
resource "aws_iam_policy" "boundary" {
  #checkov:skip=CKV_AWS_288:a boundary allows nothing; it says what policies may allow at most
  #checkov:skip=CKV_AWS_286:as above
  #checkov:skip=CKV_AWS_287:as above
  #checkov:skip=CKV_AWS_289:as above
  #checkov:skip=CKV_AWS_290:as above
  #checkov:skip=CKV_AWS_355:as above
  #checkov:skip=CKV2_AWS_40:as above
  #checkov:skip=CKV_AWS_62:as above
  #checkov:skip=CKV_AWS_63:as above
  name        = "${var.name}-ci-boundary"
  description = "The most that roles of CI may do"
  tags        = local.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "AtMost", Effect = "Allow", Action = "*", Resource = "*" },
      {
        Sid    = "NoKeysThatLast"
        Effect = "Deny"
        Action = [
          "iam:CreateAccessKey", "iam:CreateUser", "iam:CreateLoginProfile", "iam:UpdateLoginProfile",
          "iam:CreateServiceSpecificCredential", "iam:UploadSigningCertificate", "iam:UploadSSHPublicKey",
        ]
        Resource = "*"
      },
      {
        Sid      = "NoEndOfTheData"
        Effect   = "Deny"
        Action   = ["dynamodb:DeleteTable", "dynamodb:DeleteTableReplica", "backup:DeleteBackupVault", "backup:DeleteRecoveryPoint", "s3:DeleteBucket"]
        Resource = "*"
      },
      {
        # ReadOnlyAccess reads them too, and a plan may be a pull request's.
        Sid    = "NothingSecretAndNothingOfPlayers"
        Effect = "Deny"
        Action = [
          "ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:GetParameterHistory", "secretsmanager:GetSecretValue",
          "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:PartiQLSelect",
          "dynamodb:ExportTableToPointInTime", "logs:GetLogEvents", "logs:FilterLogEvents", "logs:StartQuery",
        ]
        Resource = "*"
      },
      {
        Sid    = "NoWayAroundThis"
        Effect = "Deny"
        Action = [
          "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:SetDefaultPolicyVersion",
          "iam:DeleteRolePermissionsBoundary", "iam:PutRolePermissionsBoundary", "iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy",
          "iam:AttachRolePolicy",
        ]
        Resource = [
          "arn:${local.partition}:iam::${local.account}:policy/${var.name}-ci-boundary",
          "arn:${local.partition}:iam::${local.account}:role/${var.name}-ci-*",
        ]
      },
    ]
  })
}

resource "aws_iam_role" "ci" {
  for_each = local.roles

  name        = "${var.name}-ci-${each.key}"
  description = "GitHub: ${each.key}"
  # An apply that outlives its credentials ends with resources made and no state written.
  max_session_duration = each.key == "apply" ? 7200 : 3600
  permissions_boundary = aws_iam_policy.boundary.arn
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = local.provider_arn }
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = sort(var.subjects[each.key])
        }
      }
    }]
  })

  depends_on = [aws_iam_openid_connect_provider.github]
}

resource "aws_iam_role_policy" "ci" {
  for_each = local.roles

  name = each.key
  role = aws_iam_role.ci[each.key].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = each.value
  })
}

resource "aws_iam_role_policy_attachment" "ci" {
  for_each = { for kind, managed in local.managed : kind => managed if contains(keys(local.roles), kind) }

  role       = aws_iam_role.ci[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.value}"
}

resource "aws_s3_bucket" "artefacts" {
  #checkov:skip=CKV_AWS_144:a release is made again from its tag; machines of every region read this one
  #checkov:skip=CKV_AWS_145:what is public on the release page needs no key of one's own; S3 encrypts with its own
  #checkov:skip=CKV_AWS_18:who may write is three roles, and CloudTrail has their calls
  #checkov:skip=CKV2_AWS_62:nothing waits for a release
  bucket        = local.bucket
  force_destroy = var.disposable
  tags          = local.tags
}

resource "aws_s3_bucket_versioning" "artefacts" {
  bucket = aws_s3_bucket.artefacts.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "artefacts" {
  bucket = aws_s3_bucket.artefacts.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "artefacts" {
  bucket                  = aws_s3_bucket.artefacts.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "artefacts" {
  bucket = aws_s3_bucket.artefacts.id

  rule {
    id     = "what was overwritten"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 90
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}

resource "aws_s3_bucket_policy" "artefacts" {
  bucket = aws_s3_bucket.artefacts.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsAlone"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
