//! Who may do what.

use std::collections::BTreeSet;

use serde_json::Value;

use super::plan::{Plan, fault, texts};
use crate::workspace::text;

/// The name of the policies that are made from functions/permissions.json.
const OF_FUNCTIONS: &str = "permissions.json";

pub(super) fn functions(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let statements = plan.statements();
    let mut known = BTreeSet::new();
    let has_functions = plan.of("aws_lambda_function").next().is_some();
    let listed = plan.permissions.as_object().into_iter().flatten();
    for (function, needs) in listed.filter(|_| has_functions) {
        known.insert(function.as_str());
        let own = |(policy, _): &&(&Value, Value)| {
            policy["values"]["name"] == OF_FUNCTIONS && policy["index"] == function.as_str()
        };
        let own: Vec<&Value> = statements.iter().filter(own).map(|(_, it)| it).collect();
        let wanted = texts(&needs["table"]).into_iter();
        let wanted: BTreeSet<String> = wanted.map(|it| format!("dynamodb:{it}")).collect();
        let given = own.iter().flat_map(|statement| texts(&statement["Action"]));
        let given: BTreeSet<String> = given.filter(|it| it.starts_with("dynamodb:")).collect();
        if given != wanted {
            faults.push(format!(
                "{function}: its role may {given:?}, and functions/permissions.json lists \
                 {wanted:?}: make the policy from the file"
            ));
        }
        let (wanted, given) = (texts(&needs["partitions"]), partitions(&own));
        if given != wanted {
            faults.push(format!(
                "{function}: its role reaches the partitions {given:?}, and \
                 functions/permissions.json lists {wanted:?}: make the condition from the file"
            ));
        }
    }
    for (policy, statement) in &statements {
        let is_function = policy["values"]["name"] == OF_FUNCTIONS;
        if is_function && !known.contains(policy["index"].as_str().unwrap_or_default()) {
            faults.push(fault(policy, "no function of permissions.json has it"));
        }
        let actions = texts(&statement["Action"]);
        if !is_function && actions.iter().any(|it| it.starts_with("dynamodb:")) {
            faults.push(fault(policy, "the table is the functions' alone"));
        }
    }
    faults
}

/// Partitions that the conditions of statements about the table name; none where one has no whole
/// condition.
fn partitions(statements: &[&Value]) -> BTreeSet<String> {
    let of_table = statements.iter().filter(|statement| {
        let actions = texts(&statement["Action"]);
        actions.iter().any(|it| it.starts_with("dynamodb:"))
    });
    let mut found = BTreeSet::new();
    for statement in of_table {
        let condition = &statement["Condition"];
        // Without it a request without keys would pass.
        if condition["Null"]["dynamodb:LeadingKeys"] != "false" {
            return BTreeSet::new();
        }
        found.extend(texts(
            &condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"],
        ));
    }
    found
}

pub(super) fn wildcards(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for (policy, statement) in plan.statements() {
        for action in texts(&statement["Action"]) {
            if action.contains('*') || statement.get("NotAction").is_some() {
                faults.push(fault(policy, &format!("{action}: name the actions")));
            }
        }
        if texts(&statement["Resource"]).contains("*") {
            faults.push(fault(policy, "Resource is *: name what it is for"));
        }
    }
    faults
}

/// An identity of GitHub is one of a whole subject: with a pattern, other repositories come too.
pub(super) fn trust(plan: &Plan<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for role in plan.of("aws_iam_role") {
        let policy = text(&role["values"], "assume_role_policy");
        let policy: Value = serde_json::from_str(policy).unwrap_or_default();
        for statement in policy["Statement"].as_array().into_iter().flatten() {
            if texts(&statement["Principal"]).contains("*") {
                faults.push(fault(role, "anybody may take it: name who"));
            }
            if statement["Action"] != "sts:AssumeRoleWithWebIdentity" {
                continue;
            }
            let condition = &statement["Condition"]["StringEquals"];
            let of = |claim: &str| {
                let all = condition.as_object().into_iter().flatten();
                let its = all.filter(|(name, _)| name.ends_with(claim));
                its.flat_map(|(_, value)| texts(value))
                    .collect::<BTreeSet<_>>()
            };
            let (subjects, audiences) = (of(":sub"), of(":aud"));
            let is_whole = |subject: &String| !subject.contains(['*', '?']);
            if subjects.is_empty() || !subjects.iter().all(is_whole) || audiences.len() != 1 {
                let what = "compare :sub and :aud by StringEquals, without a *";
                faults.push(fault(role, what));
            }
        }
    }
    faults
}
