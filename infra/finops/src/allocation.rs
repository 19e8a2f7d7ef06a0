//! Whose what is: features, teams and regions, from `allocation.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::book::HOME_REGION;

/// What is allocated to nobody.
pub const NOBODY: &str = "untagged";

/// The file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allocation {
    /// Of which environment the records are.
    pub environment: String,
    /// Regions of AWS by those of the fleet.
    #[serde(default)]
    pub regions: BTreeMap<String, String>,
    /// Owners by function.
    #[serde(default)]
    pub functions: BTreeMap<String, Owner>,
    /// Relays: their owner and what they run on.
    pub relays: Relays,
}

/// Who a part of the bill belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owner {
    /// What it is for.
    pub feature: String,
    /// Who answers for it.
    pub team: String,
}

/// Relays.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relays {
    /// What it is for.
    pub feature: String,
    /// Who answers for it.
    pub team: String,
    /// Item of the book of prices.
    pub machine: String,
    /// Cores of that machine; at least one.
    pub cores: u32,
    /// Processor time of a forwarded packet, nanoseconds.
    pub packet_cpu_ns: u64,
}

impl Allocation {
    /// The one of this repository.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn built_in() -> Self {
        let text = include_str!("../allocation.toml");
        Self::read(text).expect("the repository's file is read by a test")
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn read(text: &str) -> Result<Self, String> {
        let read: Self = toml::from_str(text).map_err(|fault| fault.to_string())?;
        if read.relays.cores == 0 {
            return Err("relays.cores is 0; a machine has at least one".to_owned());
        }
        Ok(read)
    }

    /// The region of AWS in which the fleet's `region` is.
    pub fn region<'a>(&'a self, region: &'a str) -> &'a str {
        // A region of AWS stays what it is: relays may be named after it.
        let is_of_aws = region.bytes().filter(|byte| *byte == b'-').count() >= 2;
        if is_of_aws {
            return region;
        }
        self.regions.get(region).map_or(HOME_REGION, String::as_str)
    }

    /// Who owns a resource of a bill, by the function or machine that it is: a bill calls functions
    /// `arn:..:function:lifeverse-dev-chat`, perhaps with a version, and our own rows `chat`.
    pub fn owner_of_resource(&self, resource: &str, service: &str) -> Owner {
        let name = resource.split(":function:").last().unwrap_or(resource);
        let name = name.split(':').next().unwrap_or(name);
        let name = name.rsplit('-').next().unwrap_or(name);
        let is_machine = service == "Amazon Elastic Compute Cloud" || resource.starts_with("i-");
        if is_machine || name == "relay" {
            return Owner {
                feature: self.relays.feature.clone(),
                team: self.relays.team.clone(),
            };
        }
        self.owner(name)
    }

    /// Who owns a function.
    pub fn owner(&self, function: &str) -> Owner {
        let found = self.functions.get(function).cloned();
        found.unwrap_or_else(|| Owner {
            feature: NOBODY.to_owned(),
            team: NOBODY.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_that_is_deployed_has_an_owner() {
        let allocation = Allocation::built_in();
        let permissions = include_str!("../../../functions/permissions.json");
        let deployed: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(permissions).unwrap();
        for function in deployed.keys() {
            assert_ne!(allocation.owner(function).team, NOBODY, "{function}");
        }
        assert_eq!(allocation.owner("web").team, NOBODY);
        assert_eq!(allocation.region("eu"), "eu-west-1");
        assert_eq!(allocation.region("elsewhere"), HOME_REGION);
        assert_eq!(allocation.region("sa-east-1"), "sa-east-1");
        let none = include_str!("../allocation.toml").replace("cores = 2", "cores = 0");
        assert!(
            Allocation::read(&none)
                .unwrap_err()
                .contains("at least one")
        );
    }

    /// Else voice of production would be priced and held against budgets of another place.
    #[test]
    fn regions_are_where_terraform_has_them_and_so_are_their_budgets() {
        let regions = include_str!("../../../terraform/environments/prod/regions.json");
        let regions: BTreeMap<String, serde_json::Value> = serde_json::from_str(regions).unwrap();
        let allocation = Allocation::built_in();
        for (of_aws, region) in &regions {
            let name = region["voice_region"].as_str().unwrap();
            assert_eq!(allocation.region(name), of_aws);
        }
        let budgets = crate::Budgets::read(include_str!("../../ops/budgets.json")).unwrap();
        for of_aws in budgets.of("prod").unwrap().regions.keys() {
            assert!(regions.contains_key(of_aws), "{of_aws}");
        }
    }
}
