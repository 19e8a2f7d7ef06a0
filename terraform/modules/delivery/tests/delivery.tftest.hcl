mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/lifeverse-prod-ci-boundary" }
  }
}

# The example of the README.
variables {
  name         = "lifeverse-prod"
  state_bucket = "lifeverse-prod-state"
  subjects = {
    plan    = ["repo:example/voice:pull_request", "repo:example/voice:ref:refs/heads/main"]
    apply   = ["repo:example/voice:environment:prod"]
    release = ["repo:example/voice:environment:release"]
  }
}

run "the_example_of_the_readme" {
  assert {
    condition = jsondecode(aws_iam_role.ci["apply"].assume_role_policy).Statement[0].Condition == {
      StringEquals = {
        "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
        "token.actions.githubusercontent.com:sub" = ["repo:example/voice:environment:prod"]
      }
    }
    error_message = "one job of one repository, and no pattern"
  }
  assert {
    condition     = aws_iam_role.ci["apply"].max_session_duration == 7200 && alltrue([for role in aws_iam_role.ci : role.permissions_boundary == aws_iam_policy.boundary.arn])
    error_message = "long enough, and under the boundary"
  }
  assert {
    condition     = alltrue([for role, managed in aws_iam_role_policy_attachment.ci : endswith(managed.policy_arn, role == "plan" ? "/ReadOnlyAccess" : "/PowerUserAccess")])
    error_message = "a plan reads"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.ci["plan"].policy).Statement[0].Resource == ["arn:aws:s3:::lifeverse-prod-state/*.tflock"]
    error_message = "a plan writes locks, and no state"
  }
  assert {
    condition     = aws_s3_bucket.artefacts.bucket == "lifeverse-prod-artefacts-123456789012" && length(aws_iam_openid_connect_provider.github) == 1
    error_message = "a bucket of this account"
  }
}

run "a_bucket_alone" {
  command = plan
  variables {
    subjects = {}
  }
  assert {
    condition     = length(aws_iam_role.ci) == 0 && length(aws_iam_openid_connect_provider.github) == 0
    error_message = "nobody may take a role, so there is none"
  }
}

run "wrong_variables" {
  command = plan
  variables {
    name         = "LifeVerse"
    state_bucket = "arn:aws:s3:::state"
    subjects     = { plan = ["repo:example/*"], apply = ["repo:example/voice:pull_request"], release = [] }
    provider_arn = "github"
  }
  expect_failures = [var.name, var.state_bucket, var.subjects, var.provider_arn]
}
