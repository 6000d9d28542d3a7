//! What must hold at the end: told from nothing but the names in the store and what was acknowledged.

use spool::SpoolId;

use super::store::Store;

/// Every number of every life is in an object or declared, up to an end; no two objects of lines share a number.
pub fn everything_arrived<'a>(
    store: &Store,
    lives: impl Iterator<Item = (&'a SpoolId, &'a u64)>,
) -> Result<(), String> {
    for (spool, records) in lives {
        let spool = spool.to_string();
        let objects: Vec<_> = store.of(&spool).collect();
        let mut lines: Vec<_> = objects.iter().filter(|(name, ..)| !name.ends_with(".dropped")).collect();
        lines.sort_by_key(|(_, first, _)| *first);
        if let Some(two) = lines.windows(2).find(|two| two[1].1 <= two[0].2) {
            return Err(format!("delivered under two keys: {} and {}", two[0].0, two[1].0));
        }
        let mut all = objects.clone();
        all.sort_by_key(|(_, first, _)| *first);
        let reached =
            all.iter().fold(0, |next, (_, first, last)| if *first <= next { next.max(last + 1) } else { next });
        if reached < *records {
            return Err(format!("{spool}: {records} were acknowledged, {reached} arrived: {all:?}"));
        }
        if *records > 0 && !lines.iter().any(|(name, _, last)| name.contains("-end") && last + 1 >= reached) {
            return Err(format!("{spool} has no end: {all:?}"));
        }
    }
    Ok(())
}
