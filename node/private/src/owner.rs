//! The one thread that draws: it owns the purse of a release, and takes one piece of work after the other from a bounded queue.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::{account::Purse, mechanism::ReleaseError};

/// How much work may wait. Who brings more waits too.
const QUEUE_MAX: usize = 16;

type Work = Box<dyn FnOnce(&mut Purse) + Send>;

/// A handle to the drawing thread. When it is dropped, the thread ends, and what is left in the purse stays spent.
#[derive(Debug)]
pub struct Owner {
    queue: Option<SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Owner {
    /// Starts the thread with what was paid.
    ///
    /// # Errors
    /// [`ReleaseError::Failed`] where no thread can be had or the generator has no entropy.
    pub fn start(mut purse: Purse) -> Result<Self, ReleaseError> {
        crate::mechanism::warm_up()?;
        let (queue, work) = sync_channel::<Work>(QUEUE_MAX);
        let drawing = move || work.into_iter().for_each(|work| work(&mut purse));
        let thread = std::thread::Builder::new().name("noise".to_owned()).spawn(drawing);
        Ok(Self { queue: Some(queue), thread: Some(thread.map_err(|_| ReleaseError::Failed)?) })
    }

    /// Has one batch drawn and waits for it.
    ///
    /// # Errors
    /// What the work says, and [`ReleaseError::Failed`] when the thread is gone.
    pub fn draw<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Purse) -> Result<T, ReleaseError> + Send + 'static,
    ) -> Result<T, ReleaseError> {
        let (answer, answered) = sync_channel(1);
        let work: Work = Box::new(move |purse| {
            // Nobody may be waiting any more; the draw is paid all the same.
            let _ = answer.send(work(purse));
        });
        let queue = self.queue.as_ref().ok_or(ReleaseError::Failed)?;
        queue.send(work).map_err(|_| ReleaseError::Failed)?;
        answered.recv().map_err(|_| ReleaseError::Failed)?
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has drawn nothing more, and its waiters were told.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use cohortium_protocol::quantity::{Delta, Rho};

    use super::*;
    use crate::{account::Cost, bound::Bounds, interval::Family, mechanism::Additive};

    // PRIV-4
    #[test]
    fn of_64_at_once_for_the_last_of_a_purse_one_is_drawn() {
        let plan = Additive::within(Family::Gaussian, Bounds::new(1, 1).unwrap(), Rho(1 << 74)).unwrap();
        let owner = Owner::start(Purse::of(plan.cost())).unwrap();
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let asked: Vec<_> =
                (0..64).map(|_| scope.spawn(|| owner.draw(move |purse| plan.release(purse, &[5, 6, 7])))).collect();
            asked.into_iter().map(|asked| asked.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(ReleaseError::NotPaid)).count(), 63);
    }

    #[test]
    fn a_thread_that_is_gone_is_a_failed_release() {
        let owner = Owner::start(Purse::of(Cost { rho: Rho(0), delta: Delta(0) })).unwrap();
        assert_eq!(owner.draw(|_| -> Result<(), _> { panic!("a fault in a draw") }), Err(ReleaseError::Failed));
        assert_eq!(owner.draw(|_| Ok(())), Err(ReleaseError::Failed));
    }
}
