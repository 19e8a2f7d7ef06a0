//! What of a bill is not held against the records, and why.

/// Why a line item is not compared. Its dollars are in a sum of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aside {
    /// A credit.
    Credit,
    /// A refund or a correction.
    Refund,
    /// A tax.
    Tax,
    /// A fee, or what was bought ahead: its use is in the effective cost of what it covers.
    Fee,
    /// A discount that stands in lines of its own, or what cancels usage that a plan covers.
    Discount,
    /// Of an account that was not asked for.
    OtherAccount,
    /// Of a kind that this program does not know.
    OtherKind,
}

impl Aside {
    /// What a report says.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Credit => "credits",
            Self::Refund => "refunds and corrections",
            Self::Tax => "taxes",
            Self::Fee => "fees and what was bought ahead",
            Self::Discount => "discounts in lines of their own, and negations of a plan",
            Self::OtherAccount => "of other accounts",
            Self::OtherKind => "of a kind that this program does not know",
        }
    }
}
