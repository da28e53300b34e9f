//! All instances together.

use std::thread;
use std::time::{Duration, Instant};

use crate::error::{CrashError, io_error};
use crate::guard::Guard;
use crate::instance::{Instance, Lives};
use crate::lab::Lab;
use crate::schedule::{Action, Step};

/// Between two looks at all instances.
const LOOK: Duration = Duration::from_millis(20);
/// How long the start or the end of instances may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// An instance is stopped so much longer than its session, so that its partitions have gone to others.
const BEYOND_SESSION: Duration = Duration::from_secs(1);

/// The instances.
pub(crate) struct Fleet<'a> {
    lab: &'a Lab,
    guard: Guard,
    session: Duration,
    instances: Vec<Instance>,
    made: usize,
    lives: Lives,
}

impl<'a> Fleet<'a> {
    pub(crate) fn new(lab: &'a Lab, session: Duration) -> Result<Fleet<'a>, CrashError> {
        let guard = Guard::start().map_err(io_error("start", "sh".as_ref()))?;
        Ok(Fleet { lab, guard, session, instances: Vec::new(), made: 0, lives: Lives::default() })
    }

    pub(crate) fn lives(&self) -> &Lives {
        &self.lives
    }

    /// An instance more.
    pub(crate) fn grow(&mut self) -> Result<usize, CrashError> {
        let mut instance = Instance::new(self.made);
        self.made += 1;
        instance.start(self.lab, &mut self.guard, &mut self.lives)?;
        self.instances.push(instance);
        Ok(self.made - 1)
    }

    /// Does what is due, and takes a short rest.
    pub(crate) fn look_after(&mut self) -> Result<(), CrashError> {
        for instance in &mut self.instances {
            instance.look_after(self.lab, &mut self.guard, &mut self.lives)?;
        }
        self.instances.retain(|instance| !instance.is_gone());
        thread::park_timeout(LOOK);
        Ok(())
    }

    /// Waits until all instances are ready.
    pub(crate) fn until_ready(&mut self) -> Result<(), CrashError> {
        self.until("instances that are ready", |fleet| fleet.instances.iter().all(Instance::is_ready))
    }

    /// Stops all instances in good order, and waits for that.
    pub(crate) fn end(&mut self) -> Result<(), CrashError> {
        for instance in &mut self.instances {
            instance.terminate(None)?;
        }
        self.until("the end of all instances", |fleet| fleet.instances.is_empty())
    }

    /// Does to an instance what a step says; which one it was. `None`: there is none that runs now.
    pub(crate) fn disturb(&mut self, step: &Step) -> Result<Option<usize>, CrashError> {
        if step.action == Action::Grow {
            return self.grow().map(Some);
        }
        // One that is ready has partitions to lose.
        let ready: Vec<usize> = self.running(Instance::is_ready);
        let running = if ready.is_empty() { self.running(Instance::runs) } else { ready };
        if running.is_empty() {
            return Ok(None);
        }
        let Some(instance) = self.instances.get_mut(running[step.choice % running.len()]) else { return Ok(None) };
        match step.action {
            Action::Kill { wipe } => {
                instance.kill(step.away, wipe, self.lab, &mut self.guard, &mut self.lives)?;
            }
            Action::Stop => instance.stop(self.session + BEYOND_SESSION + step.away)?,
            Action::Term => instance.terminate(Some(step.away))?,
            Action::Shrink => instance.terminate(None)?,
            Action::Grow | Action::BrokerStop | Action::BrokerKill => {}
        }
        Ok(Some(instance.number))
    }

    fn running(&self, is: impl Fn(&Instance) -> bool) -> Vec<usize> {
        let with_index = self.instances.iter().enumerate();
        with_index.filter(|(_, instance)| is(instance)).map(|(index, _)| index).collect()
    }

    fn until(&mut self, what: &str, reached: impl Fn(&Fleet<'_>) -> bool) -> Result<(), CrashError> {
        let begin = Instant::now();
        while !reached(self) {
            if begin.elapsed() >= PATIENCE {
                return Err(CrashError::InVain { what: what.to_owned(), waited: PATIENCE });
            }
            self.look_after()?;
        }
        Ok(())
    }
}
