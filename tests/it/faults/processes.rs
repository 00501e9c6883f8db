//! Other processes and other file systems, as an operator meets them.

use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll::api::draft_to_proto;
use plimsoll::api::proto::v1 as pb;
use tonic_types::StatusExt;

use crate::support::draft;
use crate::support::process::{PROGRAM, Server, command, plimsoll};
use crate::support::rig::scratch;

#[test]
fn a_second_process_is_refused_and_told_who_has_the_directory() {
    let dir = scratch();
    let data = dir.path().join("data");
    let mut first = Server::spawn(&data).ready();
    let mut second = Server::spawn(&data);
    assert_eq!(second.ended().code(), Some(3));
    let complaint = second.complaint();
    let holder = format!("{} is in use by process {} (plimsoll serve)", data.display(), first.pid());
    assert!(complaint.contains(&holder), "{complaint}");

    let record = plimsoll(&data, &["import", "git", "."]);
    assert_eq!(record.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&record.stderr).contains(&holder));
    assert_eq!(plimsoll(&data, &["verify"]).status.code(), Some(0), "reading needs no lock");
    // The lock goes with its holder, however that ends.
    first.kill();
    Server::spawn(&data).ready().terminate();
}

/// `script` in a mount namespace of its own, which goes with it; `$0` is `dir`, and `$@` the program and its arguments.
fn in_namespace(script: &str, dir: &Path) -> Command {
    let mut command = command("unshare");
    let root = std::fs::metadata("/proc/self").unwrap();
    if std::os::unix::fs::MetadataExt::uid(&root) != 0 {
        // A user namespace, in which whoever runs the tests may mount.
        command.arg("--map-root-user");
    }
    command.args(["--mount", "--", "sh", "-c", script]).arg(dir).arg(PROGRAM);
    command
}

/// Needs `unshare` (util-linux) and the right to mount: root, or user namespaces. There is no way around a real disk
/// that is full, so where that is not to be had, this test fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_real_disk_that_is_full_refuses_appends_and_takes_them_again_when_there_is_room() {
    let dir = scratch();
    let mount = "mount -t tmpfs -o size=6m tmpfs \"$0\" && head -c 2000000 /dev/zero > \"$0/filler\" && exec \"$@\"";
    let mut command = in_namespace(mount, dir.path());
    command.arg("--data").arg(dir.path().join("data"));
    let mut server = Server::spawn_with(command).ready();
    let mut client = server.client().await;
    let inside = PathBuf::from(format!("/proc/{}/root", server.pid())).join(dir.path().strip_prefix("/").unwrap());
    assert!(inside.join("filler").exists() && !dir.path().join("filler").exists(), "it has a disk of its own");

    let request = |n: u64| {
        let drafts = (100 * n..100 * n + 100).map(|n| draft_to_proto(&draft("repo/example.com/app", n)).unwrap());
        pb::AppendRequest { drafts: drafts.collect(), with_receipts: false }
    };
    let mut n = 0;
    let refused = loop {
        match client.append(request(n)).await {
            Ok(_) => n += 1,
            Err(status) => break status,
        }
        assert!(n < 1000, "the disk is never full");
    };
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
    assert_eq!(refused.get_error_details().error_info().unwrap().reason, "CANNOT_WRITE");
    assert!(refused.message().contains("the disk is full"), "{refused:?}");
    // Reads go on, and see nothing of what was refused; it is refused again, and nothing stops.
    for _ in 0..3 {
        let size = client.get_checkpoint(pb::GetCheckpointRequest::default()).await.unwrap().into_inner().size;
        assert_eq!(size, 1 + 100 * n);
        let key = Some(pb::get_receipt_request::Key::Position(size - 1));
        client.get_receipt(pb::GetReceiptRequest { key }).await.unwrap();
        assert_eq!(client.append(request(n)).await.unwrap_err().code(), tonic::Code::ResourceExhausted);
    }
    std::fs::remove_file(inside.join("filler")).unwrap();
    for n in n..n + 10 {
        let placed = client.append(request(n)).await.unwrap().into_inner().placed;
        assert_eq!((placed[0].position, placed[0].duplicate), (1 + 100 * n, false), "without a restart");
    }
    // SQLite would resolve the path through /proc to one outside; what is verified is a copy, as nothing writes now.
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(inside.join("data")).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
    }
    let verified = plimsoll(&copy, &["verify"]);
    assert!(verified.status.success(), "{verified:?}");
    let ended = server.terminate();
    assert!(ended.success(), "{ended:?}");
}

#[test]
fn a_read_only_file_system_is_named_and_reads_work() {
    let dir = scratch();
    let data = dir.path().join("data");
    assert!(plimsoll(&data, &["init"]).status.success());
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let inside =
        |arguments: &[&str]| in_namespace(mount, dir.path()).arg("--data").arg(&data).args(arguments).output().unwrap();
    let served = inside(&["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    let complaint = String::from_utf8_lossy(&served.stderr).into_owned();
    assert_eq!(served.status.code(), Some(3), "{complaint}");
    assert!(complaint.contains("Read-only file system"), "{complaint}");
    for reading in [&["log"][..], &["verify"]] {
        let read = inside(reading);
        assert!(read.status.success(), "{reading:?}: {}", String::from_utf8_lossy(&read.stderr));
    }
}
