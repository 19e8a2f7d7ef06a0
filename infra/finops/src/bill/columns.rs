//! Which column says what, in each form of a bill.

use serde_json::Value;

use super::amount::amount;
use super::aside::Aside;
use crate::date::Date;
use crate::money::Money;

/// What a file is, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// AWS Cost and Usage Report 2.0.
    Cur2,
    /// FOCUS 1.0 to 1.2: the columns that are read agree.
    Focus,
}

/// What a line item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Usage on demand.
    Usage,
    /// Usage that a plan or a reservation covers.
    Covered,
    /// Not compared.
    Aside(Aside),
}

/// A line item, as its row says it.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) id: &'a str,
    pub(super) kind: Kind,
    pub(super) day: Option<Date>,
    pub(super) amount: Option<Money>,
    pub(super) currency: &'a str,
    pub(super) account: &'a str,
    pub(super) service: &'a str,
    pub(super) resource: &'a str,
    tags: Option<Value>,
}

impl Item<'_> {
    /// The value of a tag, whatever a form puts before its name.
    pub(super) fn tag(&self, names: &[&str]) -> Option<String> {
        let tags = self.tags.as_ref()?.as_object()?;
        let found = tags.iter().find(|(key, _)| {
            let key = key.strip_prefix("user").map_or(key.as_str(), |rest| {
                rest.strip_prefix([':', '_', '/']).unwrap_or(key)
            });
            names.iter().any(|name| key.eq_ignore_ascii_case(name))
        });
        found?.1.as_str().map(str::to_owned)
    }
}

/// Where each thing is.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) form: Form,
    /// Cells that each row has.
    pub(super) count: usize,
    day: usize,
    currency: usize,
    kind: usize,
    /// Cost of usage on demand; in FOCUS, the effective cost of all.
    cost: usize,
    service: usize,
    /// What there is in some exports only.
    more: More,
}

#[derive(Debug)]
struct More {
    id: Option<usize>,
    account: Option<usize>,
    resource: Option<usize>,
    tags: Option<usize>,
    usage_type: Option<usize>,
    code: Option<usize>,
    /// FOCUS: whether it corrects an earlier bill.
    class: Option<usize>,
    /// FOCUS: the commitment that covers it.
    commitment: Option<usize>,
    plan_cost: Option<usize>,
    reservation_cost: Option<usize>,
}

impl Columns {
    /// Finds them.
    ///
    /// # Errors
    /// Which are missing, or that it is of no form that is known.
    pub(super) fn of(heads: &[String]) -> Result<Self, String> {
        let first = |head: &str| head.trim_start_matches('\u{feff}').to_owned();
        let at = |name: &str| heads.iter().position(|head| first(head) == name);
        let form = match (at("line_item_line_item_type"), at("ChargeCategory")) {
            (Some(_), _) => Form::Cur2,
            (None, Some(_)) => Form::Focus,
            (None, None) => {
                return Err(
                    "its header is neither of CUR 2.0 (line_item_line_item_type) nor of \
                            FOCUS (ChargeCategory); Parquet and packed files are not read: \
                            export TEXT_OR_CSV and unpack it with `gzip -dc`"
                        .to_owned(),
                );
            }
        };
        let need = |name: &str| at(name).ok_or_else(|| format!("the column {name} is missing"));
        let is_cur = form == Form::Cur2;
        let of = |cur: &'static str, focus: &'static str| if is_cur { cur } else { focus };
        let may = |cur: &'static str, focus: &'static str| match of(cur, focus) {
            "" => None,
            name => at(name),
        };
        Ok(Self {
            form,
            count: heads.len(),
            day: need(of("line_item_usage_start_date", "ChargePeriodStart"))?,
            currency: need(of("line_item_currency_code", "BillingCurrency"))?,
            kind: need(of("line_item_line_item_type", "ChargeCategory"))?,
            cost: need(of("line_item_unblended_cost", "EffectiveCost"))?,
            service: need(of("line_item_product_code", "ServiceName"))?,
            more: More {
                id: may("identity_line_item_id", ""),
                account: may("line_item_usage_account_id", "SubAccountId")
                    .or_else(|| may("", "BillingAccountId")),
                resource: may("line_item_resource_id", "ResourceId"),
                tags: may("resource_tags", "Tags"),
                usage_type: may("line_item_usage_type", "x_UsageType"),
                code: may("product_servicecode", "x_ServiceCode"),
                class: may("", "ChargeClass"),
                commitment: may("", "CommitmentDiscountId"),
                plan_cost: may("savings_plan_savings_plan_effective_cost", ""),
                reservation_cost: may("reservation_effective_cost", ""),
            },
        })
    }

    /// What a row of as many cells as the header says.
    pub(super) fn item<'a>(&self, cells: &'a [String]) -> Item<'a> {
        let cell = |at: usize| cells[at].trim();
        let may = |at: Option<usize>| at.map_or("", cell);
        let (kind, cost) = match self.form {
            Form::Cur2 => self.cur_kind(cell(self.kind)),
            Form::Focus => {
                let is_covered = !may(self.more.commitment).is_empty();
                let class = may(self.more.class);
                (
                    focus_kind(cell(self.kind), class, is_covered),
                    Some(self.cost),
                )
            }
        };
        let codes = [may(self.more.code), cell(self.service)];
        Item {
            id: may(self.more.id),
            kind,
            day: day(cell(self.day)),
            amount: cost.and_then(|at| amount(cell(at))),
            currency: cell(self.currency),
            account: may(self.more.account),
            service: service(codes, may(self.more.usage_type)),
            resource: may(self.more.resource),
            tags: serde_json::from_str(may(self.more.tags)).ok(),
        }
    }

    /// Covered usage is at its effective cost; no amount when the export lacks that column.
    fn cur_kind(&self, kind: &str) -> (Kind, Option<usize>) {
        let aside = match kind {
            "Usage" => return (Kind::Usage, Some(self.cost)),
            "SavingsPlanCoveredUsage" => return (Kind::Covered, self.more.plan_cost),
            "DiscountedUsage" => return (Kind::Covered, self.more.reservation_cost),
            "Credit" => Aside::Credit,
            "Refund" => Aside::Refund,
            "Tax" => Aside::Tax,
            "SavingsPlanNegation" => Aside::Discount,
            kind if kind.ends_with("Discount") => Aside::Discount,
            kind if kind.ends_with("Fee") => Aside::Fee,
            _ => Aside::OtherKind,
        };
        (Kind::Aside(aside), Some(self.cost))
    }
}

fn focus_kind(category: &str, class: &str, is_covered: bool) -> Kind {
    let aside = match category {
        _ if class == "Correction" => Aside::Refund,
        "Usage" if is_covered => return Kind::Covered,
        "Usage" => return Kind::Usage,
        "Credit" => Aside::Credit,
        "Adjustment" => Aside::Refund,
        "Tax" => Aside::Tax,
        "Purchase" => Aside::Fee,
        _ => Aside::OtherKind,
    };
    Kind::Aside(aside)
}

/// A service by the names that [`crate::charges::Item::names`] gives; others keep their own.
pub fn service<'a>(codes: [&'a str; 2], usage_type: &str) -> &'a str {
    if usage_type.contains("DataTransfer-Out-Bytes") {
        return "AWS Data Transfer";
    }
    let known = |code: &str| match code {
        "AWSDataTransfer" | "AWS Data Transfer" => Some("AWS Data Transfer"),
        "AmazonApiGateway" | "Amazon API Gateway" => Some("Amazon API Gateway"),
        "AWSLambda" | "AWS Lambda" => Some("AWS Lambda"),
        "AmazonDynamoDB" | "Amazon DynamoDB" => Some("Amazon DynamoDB"),
        "AmazonCloudWatch" | "Amazon CloudWatch" => Some("AmazonCloudWatch"),
        "AmazonEC2" | "Amazon Elastic Compute Cloud" => Some("Amazon Elastic Compute Cloud"),
        _ => None,
    };
    let [of_price, of_product] = codes;
    known(of_price)
        .or_else(|| known(of_product))
        .unwrap_or(match of_product {
            "" => "(no service)",
            other => other,
        })
}

/// The day of `2026-11-30T05:00:00.000Z`, `2026-11-30 05:00:00` and `2026-11-30`.
fn day(text: &str) -> Option<Date> {
    let (day, rest) = text.split_at_checked(10)?;
    let bytes = rest.as_bytes();
    let is_time = match bytes {
        [] => true,
        [
            b'T' | b' ',
            h1,
            h2,
            b':',
            m1,
            m2,
            b':',
            s1,
            s2,
            fraction @ ..,
        ] => {
            let digits = [h1, h2, m1, m2, s1, s2];
            let is_end = fraction
                .iter()
                .all(|byte| matches!(byte, b'.' | b'Z' | b'0'..=b'9'));
            is_end && digits.iter().all(|digit| digit.is_ascii_digit())
        }
        _ => false,
    };
    is_time.then(|| day.parse().ok())?
}
