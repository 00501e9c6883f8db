//! Lists that grow with what a source says, and events that have room for so much.

use serde::Serialize;

/// As many of a list, from its beginning, as so many items and so many bytes of JSON allow.
pub(super) fn bounded<T: Serialize>(list: impl IntoIterator<Item = T>, items_max: usize, bytes_max: usize) -> Vec<T> {
    let mut bytes = 0_usize;
    let fits = |item: &T| {
        bytes += serde_json::to_string(item).map_or(bytes_max, |text| text.len());
        bytes <= bytes_max
    };
    list.into_iter().take(items_max).take_while(fits).collect()
}
