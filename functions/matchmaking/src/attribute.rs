//! Attributes of players: what a game knows of them and its rules look at.

use std::collections::BTreeSet;

/// An attribute of players.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// What its values are.
    pub kind: AttributeKind,
    /// The value of a player who has none.
    pub default: Option<AttributeValue>,
}

/// What the values of an attribute are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeKind {
    /// Numbers.
    Number,
    /// Texts.
    Text,
    /// Sets of texts.
    Set,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    /// A finite number.
    Number(f64),
    /// A text, compared as it is.
    Text(String),
    /// A set of texts.
    Set(BTreeSet<String>),
}

impl AttributeValue {
    /// What it is.
    pub fn kind(&self) -> AttributeKind {
        match self {
            Self::Number(_) => AttributeKind::Number,
            Self::Text(_) => AttributeKind::Text,
            Self::Set(_) => AttributeKind::Set,
        }
    }
}
