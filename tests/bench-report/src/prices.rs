//! List prices of us-east-1 in dollars, each with the day on which it was read, and what a
//! voice-minute costs by them.

/// A million requests of Lambda; AWS price list, 2026-10-02.
pub const LAMBDA_MILLION_REQUESTS: f64 = 0.20;
/// A GB-second of Lambda on arm64, the first 7.5 billion of a month; AWS price list, 2026-09-13.
pub const LAMBDA_ARM_GB_S: f64 = 0.000_013_333_4;
/// A million requests of an HTTP API, the first 300 million of a month; AWS price list, 2026-09-21.
pub const GATEWAY_MILLION_REQUESTS: f64 = 1.00;
/// A million read units of DynamoDB on demand, 4 kB each; AWS pricing page, 2026-10-04.
pub const MILLION_READ_UNITS: f64 = 0.125;
/// A million write units of DynamoDB on demand, 1 kB each; AWS pricing page, 2026-10-04.
pub const MILLION_WRITE_UNITS: f64 = 0.625;
/// A GB of logs taken in by CloudWatch, the first tier of Lambda; read in May 2025.
pub const LOG_GB: f64 = 0.50;
/// An EC2 t4g.small and a public IPv4 address, an hour; AWS price list, 2026-10-02.
pub const SMALL_MACHINE_HOUR: f64 = 0.0168 + 0.005;
/// An EC2 c7g.large, us-east-1, dollars an hour; AWS price list, read on 2026-09-24.
pub const C7G_LARGE_USD_PER_HOUR: f64 = 0.0725;
/// Its cores.
pub const C7G_LARGE_CORES: f64 = 2.0;
/// Egress to the internet, the first 10 TB of a month, dollars a GB; read in May 2026.
pub const EGRESS_USD_PER_GB: f64 = 0.09;
/// IPv4 and UDP headers, bytes.
pub const HEADERS_BYTES: f64 = 28.0;
/// Packets of one voice stream in a minute, at 20 ms.
const PACKETS_PER_MINUTE: f64 = 3000.0;

/// Dollars for 1,000 minutes of one speaker heard by one listener: CPU, and egress.
pub fn per_1000_minutes(cpu_s_per_packet: f64, payload_bytes_per_packet: f64) -> (f64, f64) {
    let packets = 1000.0 * PACKETS_PER_MINUTE;
    let core_usd_per_s = C7G_LARGE_USD_PER_HOUR / C7G_LARGE_CORES / 3600.0;
    let gigabytes = packets * (payload_bytes_per_packet + HEADERS_BYTES) / 1e9;
    (
        packets * cpu_s_per_packet * core_usd_per_s,
        gigabytes * EGRESS_USD_PER_GB,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_those_of_a_calculation_by_hand() {
        // 3 million packets of 118 bytes are 0.354 GB; of 2 us they are 6 core-seconds.
        let (cpu, egress) = per_1000_minutes(2e-6, 90.0);
        assert!((egress - 0.354 * 0.09).abs() < 1e-9, "{egress}");
        assert!((cpu - 6.0 * 0.03625 / 3600.0).abs() < 1e-9, "{cpu}");
    }
}
