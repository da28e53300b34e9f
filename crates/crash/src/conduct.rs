//! Carries out a schedule while events flow.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use kafka_harness::Kafka;

use crate::error::CrashError;
use crate::feed::Pace;
use crate::fleet::Fleet;
use crate::read::Readers;
use crate::schedule::{Action, Step};
use crate::watch::{Watch, now_ms};

/// How long it may take until verdicts flow again after a disturbance.
const FLOW_WITHIN: Duration = Duration::from_secs(90);
/// Share of the events that may be sent before the schedule is through.
const SHARE_DURING: f64 = 0.97;
/// While the next disturbance is waited for, events keep coming at this share of their rate.
const TRICKLE: f64 = 0.2;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Done {
    /// Processes ended by SIGKILL.
    pub kill: u32,
    /// Processes stopped by SIGSTOP beyond their session.
    pub stop: u32,
    /// Processes ended by SIGTERM and started again.
    pub term: u32,
    /// Instances added or taken away.
    pub moves: u32,
    /// Restarts of the broker in good order.
    pub broker_stop: u32,
    /// Restarts of the broker after a SIGKILL.
    pub broker_kill: u32,
    /// Times that verdicts did not flow again within 90 seconds.
    pub stalls: u32,
}

impl Done {
    fn count(&mut self, action: Action) {
        let counter = match action {
            Action::Kill { .. } => &mut self.kill,
            Action::Stop => &mut self.stop,
            Action::Term => &mut self.term,
            Action::Grow | Action::Shrink => &mut self.moves,
            Action::BrokerStop => &mut self.broker_stop,
            Action::BrokerKill => &mut self.broker_kill,
        };
        *counter += 1;
    }
}

/// What a schedule is carried out on.
pub(crate) struct Stage<'a, 'lab> {
    pub(crate) fleet: &'a mut Fleet<'lab>,
    pub(crate) kafka: &'a mut Kafka,
    pub(crate) readers: &'a mut Readers,
    pub(crate) watch: &'a Watch,
    pub(crate) pace: &'a Arc<Pace>,
    /// Events of the disturbed phase.
    pub(crate) events: u64,
    /// Events a second.
    pub(crate) rate: f64,
    /// When the run began.
    pub(crate) begin: Instant,
}

impl Stage<'_, '_> {
    /// Carries out all steps. Each waits until verdicts flow after the one before.
    pub(crate) fn play(&mut self, steps: &[Step]) -> Result<Done, CrashError> {
        let mut done = Done::default();
        let mut since = now_ms();
        for (index, step) in steps.iter().enumerate() {
            let share = (index + 1) as f64 / (steps.len() + 1) as f64;
            self.allow((self.events as f64 * SHARE_DURING * share) as u64);
            // Those that had some ever: with few users, a partition may have none.
            let flowing = self.watch.since(i64::MIN);
            let wanted = if step.settle { flowing.max(1) } else { 1 };
            if !self.wait(FLOW_WITHIN, |stage| stage.watch.since(since) >= wanted)? {
                done.stalls += 1;
                let at = self.begin.elapsed().as_secs_f64();
                eprintln!("{at:7.1} s  verdicts did not flow again within {FLOW_WITHIN:?}");
            }
            self.wait(step.pause, |_| false)?;
            if let Some(time) = step.after_burst {
                self.burst();
                thread::park_timeout(time);
            }
            since = now_ms();
            let whom = self.step(step)?;
            done.count(step.action);
            eprintln!(
                "{:7.1} s  {:>7} of {} events  {}{}",
                self.begin.elapsed().as_secs_f64(),
                self.pace.sent.load(Ordering::Relaxed),
                self.events,
                step.action.name(),
                whom.map_or(String::new(), |number| format!(" (instance {number})")),
            );
        }
        self.allow(self.events);
        Ok(done)
    }

    fn step(&mut self, step: &Step) -> Result<Option<usize>, CrashError> {
        match step.action {
            Action::BrokerStop => self.kafka.stop()?,
            Action::BrokerKill => self.kafka.kill()?,
            _ => {
                let mut whom = self.fleet.disturb(step)?;
                let begin = Instant::now();
                while whom.is_none() {
                    if begin.elapsed() >= FLOW_WITHIN {
                        let what = "an instance that runs".to_owned();
                        return Err(CrashError::InVain { what, waited: FLOW_WITHIN });
                    }
                    self.fleet.look_after()?;
                    whom = self.fleet.disturb(step)?;
                }
                return Ok(whom);
            }
        }
        self.kafka.start_again()?;
        Ok(None)
    }

    /// Looks after everything until something is reached, for this long at most; whether it was.
    fn wait(&mut self, longest: Duration, reached: impl Fn(&Self) -> bool) -> Result<bool, CrashError> {
        let begin = Instant::now();
        let allowed = self.pace.allowed.load(Ordering::Relaxed);
        let most = (self.events as f64 * SHARE_DURING) as u64;
        while begin.elapsed() < longest {
            // Without further events nothing could flow.
            if reached(self) || self.pace.sent.load(Ordering::Relaxed) >= most {
                return Ok(true);
            }
            let more = (begin.elapsed().as_secs_f64() * self.rate * TRICKLE) as u64;
            self.allow((allowed + more).min(most));
            self.fleet.look_after()?;
            self.readers.check()?;
        }
        Ok(reached(self))
    }

    /// Lets a burst of events come.
    fn burst(&self) {
        let most = (self.events as f64 * SHARE_DURING) as u64;
        let end = (self.pace.sent.load(Ordering::Relaxed) + (self.events / 200).clamp(100, 5_000)).min(most);
        self.allow(end);
        self.pace.burst.store(end, Ordering::Relaxed);
    }

    /// Never less than was allowed before.
    fn allow(&self, events: u64) {
        self.pace.allowed.fetch_max(events, Ordering::Relaxed);
    }
}
