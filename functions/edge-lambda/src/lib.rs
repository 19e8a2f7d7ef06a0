//! The ports of edge on AWS: DynamoDB, Parameter Store, CloudWatch and the Lambda runtime. The
//! layout of the table and what is repeated when: `infra/decisions/0013-one-table-on-dynamodb.md`.

#![allow(
    async_fn_in_trait,
    reason = "generic over ports, see Send in the crate edge"
)]

pub mod dynamo;
mod event;
pub mod host;
mod identity;
mod log;
pub mod objects;
mod parameter_store;
pub mod permissions;
mod record;
mod relays;
mod run;
mod signed;
mod tables;
mod variables;

pub use host::LambdaHost;
pub use lambda_http::Error;
pub use run::run;
