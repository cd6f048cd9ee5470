//! Times on the wire.

use chrono::{DateTime, SubsecRound as _, Utc};
use prost_types::Timestamp;

/// The wire form of a time.
pub fn to_timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp {
        seconds: time.timestamp(),
        nanos: i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(999_999_999),
    }
}

/// The time of a wire form, cut to microseconds; nothing if it is outside of the calendar.
pub fn from_timestamp(wire: Timestamp) -> Option<DateTime<Utc>> {
    let nanos = u32::try_from(wire.nanos).ok()?;
    DateTime::from_timestamp(wire.seconds, nanos).map(|time| time.trunc_subsecs(6))
}
