//! Questions of many partitions that the storage answers as one.
//!
//! Laws: the first question goes at once; what comes while an answer is under way, or within a beat of the last start, goes
//! together, up to a weight; one answer is under way. Whoever stops waiting for an answer changes nothing for the others.
//!
//! ```text
//! partition ─ask─┐
//! partition ─ask─┼▶ waiting ──beat over, or enough waits──▶ one call ──▶ an answer to each
//! partition ─ask─┘
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::lifecycle::{OnFailure, Tasks};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

/// Answers many questions by one call.
pub(crate) trait Answerer: Send + Sync + 'static {
    /// What is asked.
    type Question: Send + 'static;
    /// What comes of it.
    type Answer: Send + 'static;

    /// What a question weighs, in rows.
    fn weight(question: &Self::Question) -> usize;

    /// Answers each, in their order.
    fn answer(&self, questions: Vec<Self::Question>) -> impl Future<Output = Vec<Self::Answer>> + Send;
}

/// How questions go together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// The task's name.
    pub(crate) name: &'static str,
    /// How long after one start the next one is, unless enough waits.
    pub(crate) beat: Duration,
    /// What may go together; a question that weighs more goes alone.
    pub(crate) weight_max: usize,
}

/// The way to an answerer; clones share it.
pub(crate) struct Together<A: Answerer>(Arc<Shared<A>>);

/// What clones share.
struct Shared<A: Answerer> {
    /// Who answers.
    answerer: A,
    /// How questions go together.
    terms: Terms,
    /// Runs the calls.
    tasks: Tasks,
    /// What waits.
    waiting: Mutex<Waiting<A>>,
    /// Told when enough waits.
    enough: Notify,
}

/// A question, and the way back to who asks.
type Asked<A> = (<A as Answerer>::Question, oneshot::Sender<<A as Answerer>::Answer>);

/// Questions that go together, and the ways back, in the same order.
type Batch<A> = (Vec<<A as Answerer>::Question>, Vec<oneshot::Sender<<A as Answerer>::Answer>>);

/// Questions that wait for the next call.
struct Waiting<A: Answerer> {
    /// In the order they came.
    asked: VecDeque<Asked<A>>,
    /// What they weigh.
    weight: usize,
    /// When the next call is due.
    due: Instant,
    /// Whether a task sees to them.
    seen_to: bool,
}

impl<A: Answerer> Clone for Together<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Answerer> fmt::Debug for Together<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Together").field("terms", &self.0.terms).finish_non_exhaustive()
    }
}

impl<A: Answerer> Together<A> {
    /// Nothing waits yet.
    pub(crate) fn new(answerer: A, terms: Terms, tasks: &Tasks) -> Self {
        let waiting = Waiting { asked: VecDeque::new(), weight: 0, due: Instant::now(), seen_to: false };
        let (waiting, enough) = (Mutex::new(waiting), Notify::new());
        Self(Arc::new(Shared { answerer, terms, tasks: tasks.clone(), waiting, enough }))
    }

    /// Asks alone, at once.
    pub(crate) async fn alone(&self, question: A::Question) -> A::Answer {
        self.0.answerer.answer(vec![question]).await.pop().expect("invariant: each question has its answer")
    }

    /// Asks, together with others. Cancel-safe: an answer that nobody waits for is dropped.
    pub(crate) async fn ask(&self, question: A::Question) -> A::Answer {
        let (tell, told) = oneshot::channel();
        if self.0.enqueue((question, tell)) {
            let shared = Arc::clone(&self.0);
            // A stop waits for it, and it ends when nothing waits.
            self.0.tasks.spawn(self.0.terms.name, OnFailure::StopProcess, async move {
                shared.see_to_them().await;
                Ok(())
            });
        }
        match told.await {
            Ok(answer) => answer,
            // The call panicked, which stops the process.
            Err(_) => pending().await,
        }
    }
}

impl<A: Answerer> Shared<A> {
    /// Puts a question to those that wait; says whether a task must be started for them.
    fn enqueue(&self, asked: Asked<A>) -> bool {
        let mut waiting = self.waiting();
        waiting.weight += A::weight(&asked.0);
        waiting.asked.push_back(asked);
        if waiting.weight >= self.terms.weight_max {
            self.enough.notify_one();
        }
        !std::mem::replace(&mut waiting.seen_to, true)
    }

    /// Answers until nothing waits.
    async fn see_to_them(&self) {
        loop {
            let due = self.waiting().due;
            // Both arms are cancel-safe: each only waits.
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.enough.notified() => {}
            }
            let Some((questions, back)) = self.take() else { return };
            let answers = self.answerer.answer(questions).await;
            debug_assert_eq!(back.len(), answers.len(), "each question has its answer");
            for (tell, answer) in back.into_iter().zip(answers) {
                // Whoever stopped waiting needs no answer.
                drop(tell.send(answer));
            }
        }
    }

    /// Takes what may go together; none when nothing waits, and then the task is over.
    fn take(&self) -> Option<Batch<A>> {
        let mut waiting = self.waiting();
        let (mut questions, mut back, mut weight) = (Vec::new(), Vec::new(), 0);
        while let Some((question, tell)) = waiting.asked.pop_front() {
            let heavier = weight + A::weight(&question);
            if heavier > self.terms.weight_max && !questions.is_empty() {
                waiting.asked.push_front((question, tell));
                break;
            }
            weight = heavier;
            questions.push(question);
            back.push(tell);
        }
        waiting.weight -= weight;
        waiting.seen_to = !questions.is_empty();
        if waiting.seen_to {
            waiting.due = Instant::now() + self.terms.beat;
        }
        if waiting.weight >= self.terms.weight_max {
            self.enough.notify_one();
        }
        waiting.seen_to.then_some((questions, back))
    }

    /// Takes the lock, which is never held over a wait.
    fn waiting(&self) -> MutexGuard<'_, Waiting<A>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use chassis::lifecycle::Tasks;
    use tokio::task::JoinSet;
    use tokio::time::{Instant, advance, sleep, timeout};

    use super::{Answerer, Terms, Together};

    const BEAT: Duration = Duration::from_millis(10);

    /// When a call began, in milliseconds, and what it was asked.
    type Call = (u128, Vec<usize>);

    /// Doubles numbers, each call in 3 ms, and notes the calls.
    #[derive(Clone)]
    struct Doubles(Instant, Arc<Mutex<Vec<Call>>>);

    impl Answerer for Doubles {
        type Question = usize;
        type Answer = usize;

        fn weight(question: &usize) -> usize {
            *question
        }

        async fn answer(&self, questions: Vec<usize>) -> Vec<usize> {
            self.1.lock().unwrap().push((self.0.elapsed().as_millis(), questions.clone()));
            sleep(Duration::from_millis(3)).await;
            questions.into_iter().map(|question| question * 2).collect()
        }
    }

    fn doubles() -> (Doubles, Together<Doubles>, Tasks) {
        let (tasks, doubles) = (Tasks::new(), Doubles(Instant::now(), Arc::default()));
        let terms = Terms { name: "double", beat: BEAT, weight_max: 100 };
        (doubles.clone(), Together::new(doubles, terms, &tasks), tasks)
    }

    fn ask(together: &Together<Doubles>, asking: &mut JoinSet<()>, question: usize) {
        let together = together.clone();
        asking.spawn(async move { assert_eq!(together.ask(question).await, question * 2) });
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_goes_at_once_and_what_comes_within_a_beat_goes_together() {
        let (doubles, together, tasks) = doubles();
        let mut asking = JoinSet::new();
        for question in 1..=5 {
            ask(&together, &mut asking, question);
            sleep(Duration::from_millis(2)).await;
        }
        asking.join_all().await;
        sleep(BEAT - Duration::from_millis(2)).await;
        assert_eq!(together.ask(7).await, 14);
        assert_eq!(*doubles.1.lock().unwrap(), [(0, vec![1]), (10, vec![2, 3, 4, 5]), (21, vec![7])]);
        assert!(tasks.stop(BEAT * 2).await.is_empty(), "nothing waits, so the task ends with the beat");
    }

    #[tokio::test(start_paused = true)]
    async fn what_weighs_enough_waits_for_no_beat_and_more_goes_next() {
        let (doubles, together, _tasks) = doubles();
        let mut asking = JoinSet::new();
        ask(&together, &mut asking, 1);
        advance(Duration::from_millis(1)).await;
        for question in [40, 50, 30, 400, 2] {
            ask(&together, &mut asking, question);
            tokio::task::yield_now().await;
        }
        asking.join_all().await;
        let calls: Vec<_> = doubles.1.lock().unwrap().iter().map(|(_, questions)| questions.clone()).collect();
        assert_eq!(calls, [vec![1], vec![40, 50], vec![30], vec![400], vec![2]]);
        assert!(doubles.0.elapsed() < BEAT * 4, "{:?}", doubles.0.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_takes_no_answer_from_others() {
        let (doubles, together, _tasks) = doubles();
        let mut asking = JoinSet::new();
        ask(&together, &mut asking, 1);
        tokio::task::yield_now().await;
        assert!(timeout(Duration::from_millis(5), together.ask(2)).await.is_err());
        ask(&together, &mut asking, 3);
        asking.join_all().await;
        assert_eq!(*doubles.1.lock().unwrap(), [(0, vec![1]), (10, vec![2, 3])]);
    }
}
