mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-west-1", name = "eu-west-1" }
  }
  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:eu-west-1:123456789012:table/lifeverse-test" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/lifeverse-test-backup" }
  }
}

variables {
  name = "lifeverse-test"
}

run "a_table_as_the_functions_want_it" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.this.hash_key == "pk" && aws_dynamodb_table.this.range_key == "sk"
    error_message = "the keys are pk and sk"
  }
  assert {
    condition     = one(aws_dynamodb_table.this.ttl).attribute_name == "ttl" && one(aws_dynamodb_table.this.ttl).enabled
    error_message = "items expire by their attribute ttl"
  }
  assert {
    condition     = aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST"
    error_message = "an idle service costs nothing"
  }
  assert {
    condition     = one(aws_dynamodb_table.this.point_in_time_recovery).enabled
    error_message = "the table can be restored to any second"
  }
  assert {
    condition     = aws_dynamodb_table.this.tags.Component == "state"
    error_message = "costs are told by Component"
  }
}

run "kept_unless_said_otherwise" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.this.deletion_protection_enabled
    error_message = "deletion protection is on"
  }
  assert {
    condition     = length(terraform_data.keep) == 1 && !aws_backup_vault.this.force_destroy
    error_message = "nothing plans to destroy the table or its backups"
  }
}

run "disposable_where_it_is_said" {
  variables {
    protected = false
  }

  assert {
    condition     = !aws_dynamodb_table.this.deletion_protection_enabled
    error_message = "dev can be destroyed"
  }
  assert {
    condition     = length(terraform_data.keep) == 0 && aws_backup_vault.this.force_destroy
    error_message = "dev can be destroyed, with its backups"
  }
  assert {
    condition     = aws_backup_selection.this.resources == toset([aws_dynamodb_table.this.arn])
    error_message = "the table is backed up"
  }
}

# The example of the README.
run "the_example_of_the_readme" {
  command = plan

  variables {
    name     = "lifeverse-prod"
    replicas = { us-east-1 = {} }
  }

  assert {
    condition = alltrue([
      for replica in aws_dynamodb_table.this.replica : replica.point_in_time_recovery && replica.propagate_tags
    ])
    error_message = "a replica can be restored and is billed to its component"
  }
  assert {
    condition     = [for replica in aws_dynamodb_table.this.replica : replica.region_name] == ["us-east-1"]
    error_message = "one replica"
  }
  assert {
    condition     = aws_dynamodb_table.this.stream_enabled
    error_message = "replicas are made from a stream"
  }
}

run "a_bad_name" {
  command = plan
  variables {
    name = "LifeVerse_Prod"
  }
  expect_failures = [var.name]
}

run "a_region_that_is_none" {
  command = plan
  variables {
    replicas = { ireland = {} }
  }
  expect_failures = [var.replicas]
}

run "the_own_region_as_replica" {
  command = plan
  variables {
    replicas = { eu-west-1 = {} }
  }
  expect_failures = [aws_dynamodb_table.this]
}

run "a_key_for_one_copy_only" {
  command = plan
  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/1"
    replicas    = { us-east-1 = {} }
  }
  expect_failures = [var.replicas]
}

run "an_alias_for_a_key" {
  command = plan
  variables {
    kms_key_arn = "alias/mine"
  }
  expect_failures = [var.kms_key_arn]
}

run "too_far_back" {
  command = plan
  variables {
    recovery_days = 36
  }
  expect_failures = [var.recovery_days]
}

run "a_schedule_that_is_none" {
  command = plan
  variables {
    backup = { schedule = "daily", keep_days = 0 }
  }
  expect_failures = [var.backup]
}

run "a_limit_of_nothing" {
  command = plan
  variables {
    limits = { read_units = 0, write_units = 10 }
  }
  expect_failures = [var.limits]
}

run "a_restored_table_has_a_name_of_its_own" {
  command = plan

  variables {
    table_name = "lifeverse-prod-2"
  }

  assert {
    condition     = aws_dynamodb_table.this.name == "lifeverse-prod-2" && aws_backup_vault.this.name == var.name
    error_message = "The table alone is called otherwise."
  }
}
