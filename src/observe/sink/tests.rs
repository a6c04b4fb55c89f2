use super::*;

fn file(path: &std::path::Path) -> Target {
    Target::File(path.to_owned(), Rotation::default())
}

fn line(text: &str) -> impl FnOnce(&mut Vec<u8>) {
    let text = format!("{text}\n");
    move |buffer| buffer.extend_from_slice(text.as_bytes())
}

fn eventually(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if holds() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

#[test]
fn lines_are_written_in_order_and_appended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/access.log");
    for text in ["a", "b"] {
        let sink = Sink::open("test", file(&path)).unwrap();
        sink.add(line(text));
        sink.add(line("then"));
        sink.flush(Duration::from_secs(10));
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\nthen\nb\nthen\n");
}

#[test]
fn a_line_alone_is_written_without_a_flush() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let sink = Sink::open("test", file(&path)).unwrap();
    for count in 1..5 {
        sink.add(line("x"));
        let written = || std::fs::read_to_string(&path).unwrap() == "x\n".repeat(count);
        assert!(eventually(Duration::from_secs(10), written));
    }
}

#[test]
fn a_moved_file_is_opened_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (path, moved) = (directory.path().join("log"), directory.path().join("log.1"));
    let sink = Sink::open("test", file(&path)).unwrap();
    sink.add(line("old"));
    sink.flush(Duration::from_secs(10));
    std::fs::rename(&path, &moved).unwrap();
    sink.reopen();
    sink.flush(Duration::from_secs(10));
    sink.add(line("new"));
    sink.flush(Duration::from_secs(10));
    assert_eq!(std::fs::read_to_string(&moved).unwrap(), "old\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new\n");
}

#[test]
fn a_full_pipe_blocks_nobody_and_drops_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let sink = Sink::open("test", file(&path)).unwrap();
    let long = "x".repeat(1000);
    // The pipe, the batch of the thread and the buffer hold less than this.
    for _ in 0..(3 * LIMIT / 1000 + 1000) {
        sink.add(line(&long));
    }
    assert!(sink.dropped() > 0);
    let begun = Instant::now();
    sink.flush(Duration::from_millis(20));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_big_file_is_rotated_and_old_ones_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.txt");
    let rotation = Rotation { size: Some(10), backups: Some(2), age: None };
    let mut output = Output::open(Target::File(path.clone(), rotation)).unwrap();
    for _ in 0..5 {
        output.write(b"12345678\n").unwrap();
        // Names tell the millisecond.
        let now = jiff::Timestamp::now().as_millisecond();
        while jiff::Timestamp::now().as_millisecond() == now {
            std::thread::yield_now();
        }
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "12345678\n");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 3);
}
