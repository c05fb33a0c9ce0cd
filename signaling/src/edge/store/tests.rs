//! The store on real files.

use super::*;

fn case() -> CaseId {
    CaseId::parse("demo").expect("an id")
}

fn op(order: u64) -> OrderedOp {
    OrderedOp { order, received: 0xEE00_0000_0000_0000, op: None }
}

async fn opened(folder: &tempfile::TempDir) -> Opened {
    Opened::open(&folder.path().join("t.sqlite")).await.expect("opens")
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = opened(&folder).await;
    let known = first.load_case(&case()).await.expect("made");
    assert_eq!((known.phase, known.ops.len()), (Phase::Live, 0));
    let (store, writer) = first.start();
    let (stored, mut seen) = watch::channel(Order(0));
    store.send(Command::Ops { case: case(), ops: vec![op(1), op(2)], stored }).await.expect("taken");
    seen.wait_for(|up_to| *up_to == Order(2)).await.expect("said");
    let first_page = store.next_epoch(&case()).await.expect("a number");
    let second_page = store.next_epoch(&case()).await.expect("a number");
    assert!(first_page < second_page);
    // No farewell: the connection is dropped in the middle of its life.
    writer.abort();
    drop(store);
    let _ = writer.await;

    let mut second = opened(&folder).await;
    let known = second.load_case(&case()).await.expect("read");
    assert_eq!(known.ops, [op(1), op(2)]);
    let (store, _writer) = second.start();
    assert!(store.next_epoch(&case()).await.expect("a number") > second_page);
}

#[tokio::test]
async fn an_ended_case_stays_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = opened(&folder).await;
    first.load_case(&case()).await.expect("made");
    assert!(first.ended_cases().await.expect("read").is_empty());
    let (store, writer) = first.start();
    store.send(Command::Phase { case: case(), phase: Phase::Ended }).await.expect("taken");
    store.flush().await.expect("written");
    drop(store);
    writer.await.expect("ends");
    let mut second = opened(&folder).await;
    assert!(second.ended_cases().await.expect("read").contains(&case()));
    assert_eq!(second.load_case(&case()).await.expect("read").phase, Phase::Ended);
}

fn claims(n: u8) -> Claims {
    Claims {
        id: TokenId([n; crate::claims::TOKEN_ID_BYTES]),
        case: case(),
        person: crate::claims::PersonKey::parse("mentor").expect("an id"),
        role: crate::claims::Role::Mentor,
        feeds: crate::claims::FeedScope::All,
        expires_unix_s: 1_790_000_000,
    }
}

fn at() -> CaptureTime {
    CaptureTime::from_unix(Duration::from_secs(1_789_000_000))
}

#[tokio::test]
async fn a_link_withdrawn_by_another_program_is_told_once_and_known_at_once_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.sqlite");
    let (store, writer) = opened(&folder).await.start();
    let (one, two) = (claims(3), claims(4));
    store.send(Command::TokenIssued(one.clone())).await.expect("taken");
    store.send(Command::TokenIssued(two.clone())).await.expect("taken");
    store.flush().await.expect("written");
    let (told, mut heard) = mpsc::channel(8);
    let watching = tokio::spawn(store.clone().watch_withdrawn(told));
    assert_eq!(store.token_shown(one.id, at()), TokenStanding::Good);
    assert_eq!(revoke_file(&path, one.id, at()).await.expect("written"), Withdrawal::Done);
    assert_eq!(revoke_file(&path, one.id, at()).await.expect("read"), Withdrawal::Again);
    assert_eq!(revoke_file(&path, claims(9).id, at()).await.expect("read"), Withdrawal::Unknown);
    assert_eq!(heard.recv().await, Some((one.id, case())));
    assert_eq!(store.token_shown(one.id, at()), TokenStanding::Revoked);
    assert_eq!(store.token_shown(two.id, at()), TokenStanding::Good);
    let links = links_of_file(&path).await.expect("read");
    assert_eq!(links.iter().filter(|link| link.withdrawn).count(), 1);
    watching.abort();
    let _ = watching.await;
    drop(store);
    writer.await.expect("ends");
    let (again, _writer) = opened(&folder).await.start();
    assert_eq!(again.token_shown(one.id, at()), TokenStanding::Revoked);
}

#[tokio::test]
async fn nobody_else_can_read_the_database_or_what_sqlite_puts_beside_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = opened(&folder).await;
    first.load_case(&case()).await.expect("made");
    let mut seen = 0;
    for file in std::fs::read_dir(folder.path()).expect("read") {
        let file = file.expect("read");
        let mode = file.metadata().expect("read").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
        seen += 1;
    }
    assert!(seen >= 2, "the write-ahead log is there too");
}

/// A stroke's worth of bytes, so that a small disk is soon full.
fn long_op(order: u64) -> OrderedOp {
    let clear = annotation::wire::op::Body::Stroke(annotation::wire::StrokeCommit {
        points: Some(annotation::wire::Points { x: vec![40; 4_000], y: vec![40; 4_000], ..Default::default() }),
        ..Default::default()
    });
    OrderedOp { op: Some(annotation::wire::Op { body: Some(clear), ..Default::default() }), ..op(order) }
}

#[tokio::test]
async fn sg43_a_full_disk_is_said_holds_nobody_up_and_takes_what_waited_once_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("t.sqlite");
    let pages_max = Arc::new(AtomicU32::new(64));
    let mut small = Opened::open_bounded(&path, pages_max.clone()).await.expect("opens");
    small.load_case(&case()).await.expect("made");
    let (store, writer) = small.start();
    let mut disk = store.disk();
    let (stored, seen) = watch::channel(Order(0));
    let mut order = 0;
    while *disk.borrow_and_update() == DiskState::Taking {
        order += 1;
        let ops = vec![long_op(order)];
        store.send(Command::Ops { case: case(), ops, stored: stored.clone() }).await.expect("taken");
        let row = AuditRow { at: at(), case: case(), who: format!("op:{order}"), role: "mentor", act: "draw", outcome: "ok" };
        store.send(Command::Audit(row)).await.expect("taken");
        tokio::select! {
            _ = store.flush() => {}
            Ok(()) = disk.changed() => {}
        }
        assert!(order < 1_000, "the disk is never full");
    }
    assert_eq!(*disk.borrow(), DiskState::Full);
    let kept = seen.borrow().0;
    assert!(kept < order, "nothing is acknowledged that is not on disk: {kept} of {order}");

    // Doors do not wait: standing, numbers for new pages, and when these are used up, a reason.
    assert_eq!(store.token_shown(claims(3).id, at()), TokenStanding::Good);
    let mut pages = 0;
    let refused = loop {
        match store.next_epoch(&case()).await {
            Ok(_) => pages += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((pages, refused), (EPOCHS_AHEAD, NoEpoch::Refusing(DiskState::Full)));

    pages_max.store(PAGES_MAX, Ordering::Relaxed);
    store.flush().await.expect("written");
    assert_eq!((seen.borrow().0, *disk.borrow()), (order, DiskState::Taking));
    assert!(store.next_epoch(&case()).await.expect("a number") > Epoch(pages));
    drop(store);
    writer.await.expect("ends");
    let known = opened(&folder).await.load_case(&case()).await.expect("read");
    assert_eq!(known.ops.len() as u64, order, "each once");
    let audit = verify_file(&path).await.expect("reads").expect("whole");
    assert_eq!(audit.rows, order, "each once");
}

#[tokio::test]
async fn a_missing_op_is_noticed_at_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut first = opened(&folder).await;
    first.load_case(&case()).await.expect("made");
    let (store, writer) = first.start();
    let (stored, _) = watch::channel(Order(0));
    store.send(Command::Ops { case: case(), ops: vec![op(1), op(3)], stored }).await.expect("taken");
    drop(store);
    writer.await.expect("ends");
    let fault = opened(&folder).await.load_case(&case()).await.expect_err("a gap").to_string();
    assert!(fault.contains("op 2"), "{fault}");
}
