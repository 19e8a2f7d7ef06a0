//! All records of a day or more, priced for every question at once.

use crate::allocation::Allocation;
use crate::book::{Book, Missing};
use crate::charges::Charges;
use crate::hours::Hours;
use crate::invocations::Summary;
use crate::lambda::Functions;
use crate::records::Record;
use crate::usage::Usage;

/// What was read, priced.
#[derive(Debug)]
pub struct Day<'a> {
    /// Invocations.
    pub summary: Summary<'a>,
    /// Voice.
    pub usage: Usage<'a>,
    /// Both, by day and owner.
    pub charges: Charges<'a>,
    /// Both, by region and hour.
    pub hours: Hours,
    /// A price that was missing everywhere, if one was: nothing is told then.
    pub missing: Option<Missing>,
    allocation: &'a Allocation,
}

impl<'a> Day<'a> {
    /// Of nothing yet.
    pub fn new(
        book: &'a Book,
        functions: &'a Functions,
        allocation: &'a Allocation,
        environment: &str,
    ) -> Self {
        Self {
            summary: Summary::new(book, functions),
            usage: Usage::new(book, allocation),
            charges: Charges::new(allocation, environment),
            hours: Hours::default(),
            missing: None,
            allocation,
        }
    }

    /// Prices a record.
    pub fn add(&mut self, record: &Record) {
        let (hours, charges, allocation) = (&mut self.hours, &mut self.charges, self.allocation);
        let priced = match record {
            Record::Invocation(record, line_bytes) => {
                let priced = self.summary.add(record, *line_bytes);
                priced.map(|(used, cost)| {
                    charges.add_invocation(record, &used, &cost);
                    let region = allocation.region(&record.region);
                    hours.add(region, record.at_ms, cost.total());
                })
            }
            Record::Usage(record) => {
                let priced = self.usage.add(record);
                priced.map(|voice| {
                    charges.add_usage(record, &voice);
                    let region = allocation.region(&record.region);
                    hours.add(region, record.minute_ms, voice.total());
                })
            }
        };
        if let Err(missing) = priced {
            self.missing = Some(missing);
        }
    }
}
