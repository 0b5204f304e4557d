//! Writes log lines from a thread of its own, so that a reader of stdout who stalls delays no event.
//!
//! The queue is bounded. Lines that do not fit are dropped, and a line says how many as soon as there is room again.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

/// How many lines may wait.
const LINES_MAX: usize = 8_192;

/// What goes through the queue.
enum Message {
    /// A line with its end.
    Line(Vec<u8>),
    /// Answer when everything before this is written.
    Flush(SyncSender<()>),
}

/// Takes lines. Cheap to clone; the thread ends when the last clone is gone.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    /// The queue.
    messages: SyncSender<Message>,
    /// How many lines were dropped since it was last told.
    dropped: Arc<AtomicU64>,
}

impl Sink {
    /// Starts the thread.
    pub(super) fn start(output: Box<dyn Write + Send>) -> io::Result<Self> {
        let (messages, queue) = sync_channel(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write(&queue, output, &lost))?;
        Ok(Self { messages, dropped })
    }

    /// Hands a line over, or drops it if too many wait.
    pub(super) fn write(&self, line: Vec<u8>) {
        if self.messages.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits at most `patience` until all lines are written.
    pub(super) fn flush(&self, patience: Duration) {
        let (done, written) = sync_channel(1);
        // A full queue takes the message as soon as there is room; only a stuck output keeps it full.
        let pause = Duration::from_millis(10);
        let mut message = Message::Flush(done);
        let mut waited = Duration::ZERO;
        while waited < patience {
            match self.messages.try_send(message) {
                Ok(()) => {
                    written.recv_timeout(patience.saturating_sub(waited)).ok();
                    return;
                }
                Err(TrySendError::Full(refused) | TrySendError::Disconnected(refused)) => message = refused,
            }
            std::thread::sleep(pause);
            waited = waited.saturating_add(pause);
        }
    }
}

/// Writes lines until nobody can send any more. An output that fails loses lines: there is nowhere to tell it.
fn write(queue: &Receiver<Message>, output: Box<dyn Write + Send>, lost: &AtomicU64) {
    let mut output = BufWriter::new(output);
    while let Ok(first) = queue.recv() {
        let mut next = Ok(first);
        loop {
            match next {
                Ok(Message::Line(line)) => drop(output.write_all(&line)),
                Ok(Message::Flush(done)) => {
                    drop(output.flush());
                    // Whoever asked may have given up.
                    done.try_send(()).ok();
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
            next = queue.try_recv();
        }
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lost => {
                drop(writeln!(output, r#"{{"level":"WARN","message":"log lines were dropped: the output is too slow","lines":{lost}}}"#))
            }
        }
        drop(output.flush());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::{LINES_MAX, Sink};

    /// An output that waits for a lock before each write.
    struct Gated(Arc<Mutex<Vec<u8>>>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_output_delays_nobody_and_what_is_dropped_is_told() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink::start(Box::new(Gated(Arc::clone(&written)))).unwrap();
        let stuck = written.lock().unwrap();
        let sent = LINES_MAX * 3;
        for number in 0..sent {
            sink.write(format!("{number}\n").into_bytes());
        }
        sink.flush(Duration::from_millis(20));
        drop(stuck);
        sink.flush(Duration::from_secs(10));
        // The flush that gave up may be answered before the last line is: the second one is behind all lines.
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let kept = text.lines().filter(|line| line.parse::<usize>().is_ok()).count();
        assert!(kept >= LINES_MAX && kept < sent, "{kept} of {sent} lines were kept");
        sink.write(b"again\n".to_vec());
        sink.flush(Duration::from_secs(10));
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let told = text.lines().find(|line| line.contains("were dropped")).unwrap();
        assert!(told.contains(&format!("\"lines\":{}", sent - kept)), "{told}, but {kept} of {sent} lines were kept");
        assert!(text.lines().any(|line| line == "again"));
    }
}
