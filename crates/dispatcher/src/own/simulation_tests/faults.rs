//! What goes wrong in the world, and when that ends.

use rand::Rng;

use super::{Event, FAULTS, World};

impl World {
    /// Something goes wrong, until nothing does any more.
    pub(super) fn fault(&mut self) {
        if self.now >= FAULTS {
            self.heal();
            return;
        }
        let pause = 200 + self.up_to(6_000);
        self.after(pause, Event::Fault);
        let (kind, span) = (self.up_to(99), self.up_to(30_000));
        let living: Vec<usize> = (0..self.pods.len()).filter(|pod| self.pods[*pod].alive && !self.pods[*pod].stopping).collect();
        let chosen = self.random.random_range(0..living.len().max(1));
        let Some(pod) = living.get(chosen).copied() else { return self.join(None) };
        self.tell(|| format!("fault {kind} for {span} at pod {pod}"));
        match kind {
            0..20 => {
                self.pods[pod].alive = false;
                self.seen.kills += 1;
            }
            20..30 => {
                // The next life of a process that has its id to itself.
                self.pods[pod].alive = false;
                self.seen.kills += 1;
                let id = self.pods[pod].id.clone();
                // It does not wait for what its former life left at the target: those events may be there twice.
                self.attempts.retain(|attempt| attempt.member != id);
                self.join(Some(id));
            }
            30..55 => {
                self.pods[pod].frozen_until = self.now + span;
                self.seen.zombies += 1;
            }
            55..75 => {
                self.stalled_until = self.now + span / 2;
                self.seen.stalls += 1;
            }
            75..88 => {
                // It still reaches the target.
                self.pods[pod].cut_until = self.now + span;
                self.seen.cuts += 1;
            }
            88..93 => {
                self.pods[pod].stopping = true;
                let changes = self.pods[pod].plan.stop();
                self.pods[pod].apply(changes);
            }
            _ if living.len() < 6 => self.join(None),
            _ => {}
        }
    }

    /// Nothing goes wrong any more.
    fn heal(&mut self) {
        self.stalled_until = self.now;
        self.pods.iter_mut().for_each(|pod| pod.cut_until = 0);
        if !self.pods.iter().any(|pod| pod.alive && !pod.stopping) {
            self.join(None);
        }
    }
}
