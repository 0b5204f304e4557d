//! An open loop of events: each is sent once, at its time, however long others take.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::source::Source;

/// How many events may be unanswered at the same time.
const IN_FLIGHT: usize = 4_096;

/// An event that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// Its id.
    pub(crate) id: String,
    /// How it was answered; nothing when it was not.
    pub(crate) status: Option<u16>,
    /// How long the answer took.
    pub(crate) took: Duration,
}

/// A load that runs.
#[derive(Debug)]
pub(crate) struct Load {
    /// Ends it.
    stop: CancellationToken,
    /// Runs it.
    task: JoinSet<Vec<Sent>>,
}

impl Load {
    /// Begins to send so many events per second, with ids that begin with a name.
    pub(crate) fn begin(source: Source, name: String, rate: u32) -> Self {
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(run(source, name, rate, stop.clone()));
        Self { stop, task }
    }

    /// Sends no more, waits for the last answers, and tells what was sent.
    pub(crate) async fn end(mut self) -> Vec<Sent> {
        self.stop.cancel();
        self.task.join_next().await.and_then(Result::ok).unwrap_or_default()
    }
}

/// Sends until it is told to stop.
async fn run(source: Source, name: String, rate: u32, stop: CancellationToken) -> Vec<Sent> {
    let (seen, room) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Semaphore::new(IN_FLIGHT)));
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sending = JoinSet::new();
    for number in 0_u64.. {
        // Both arms are cancel-safe.
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = tick.tick() => {}
        }
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { break };
        let (source, id, seen) = (source.clone(), format!("{name}-{number:06}"), Arc::clone(&seen));
        sending.spawn(async move {
            let began = Instant::now();
            let status = source.send(&id, None).await;
            let sent = Sent { id, status, took: began.elapsed() };
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(sent);
            drop(place);
        });
        while sending.try_join_next().is_some() {}
    }
    while sending.join_next().await.is_some() {}
    std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner))
}
