// Written by `finops readme --write yes`, from the book of prices.

/** Traffic to the internet at the list price of aws, us-east-1. */
export const EGRESS_USD_PER_GB = 0.09;
/** When that was read. */
export const PRICES_OF = "2026-05-15";
