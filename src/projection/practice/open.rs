//! Drift that lasts.

use super::super::deployment::target_of;
use super::super::{Result, Snapshot, instant};
use crate::event::Timestamp;

/// Since when each target differs from what should run: service, environment, and the beginning of the oldest episode that
/// is not over.
///
/// # Errors
/// `Database`.
pub fn open_drift(snapshot: &Snapshot<'_>) -> Result<Vec<(String, String, Timestamp)>> {
    let mut statement = snapshot.connection.prepare_cached(
        "SELECT name.text, min(this.at) FROM drift_fact AS this JOIN name ON name.id = this.stream WHERE this.kind = 0 \
         AND NOT EXISTS (SELECT 1 FROM drift_fact AS end WHERE end.stream = this.stream AND end.drift = this.drift AND end.kind = 1) \
         AND NOT EXISTS (SELECT 1 FROM removal JOIN target ON target.id = removal.target \
           WHERE target.stream = this.stream AND removal.at >= this.at) \
         GROUP BY this.stream ORDER BY name.text",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    let mut found = Vec::new();
    for row in rows {
        let (stream, at) = row?;
        if let Some((environment, service)) = target_of(&stream) {
            found.push((service.to_owned(), environment.to_owned(), instant(at)));
        }
    }
    Ok(found)
}
