//! Progress of long work, on a terminal only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::exit::Exit;
use crate::app::Views;

/// A bar on standard error that counts events; it draws nothing where that is no terminal.
pub(super) fn bar(what: &'static str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{msg} {bar:30} {human_pos}/{human_len} events ({eta})");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what);
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
                let bar = shown.get_or_insert_with(|| bar("folding", position));
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
