//! Progress of long work, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::exit::Exit;
use crate::app::Views;

/// A progress bar, on a terminal only.
pub(super) fn bar(quiet: bool) -> ProgressBar {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(0) };
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}

/// Waits until the views hold so many events, however long it takes, and shows how far they are.
pub(super) async fn until(views: &Views, position: u64) -> Result<(), Exit> {
    let mut shown = None;
    loop {
        match tokio::time::timeout(Duration::from_millis(300), views.wait_for(position)).await {
            Ok(Ok(())) if !views.rebuilding() => break,
            // The old file is as far, and a new one is on its way: a command that left now would never see it.
            Ok(Ok(())) => tokio::time::sleep(Duration::from_millis(20)).await,
            Ok(Err(crate::projection::Error::Behind { .. })) | Err(_) => {
                let bar = shown.get_or_insert_with(|| bar(false));
                bar.set_length(position);
                bar.set_position(views.folded());
            }
            Ok(Err(error)) => return Err(error.into()),
        }
    }
    if let Some(bar) = shown {
        bar.finish_and_clear();
    }
    Ok(())
}
