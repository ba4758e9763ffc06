//! A value that is told once, to everybody who waits for it, in the order in which they came.
//!
//! `tokio::sync::watch` wakes those who wait in an order by chance, and a run in one process could
//! then not be repeated from its seed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
struct Inner<T> {
    value: Mutex<Value<T>>,
    told: Notify,
}

#[derive(Debug)]
enum Value<T> {
    Open,
    Told(T),
    /// Whoever was to tell it is gone.
    Never,
}

impl<T> Inner<T> {
    fn value(&self) -> MutexGuard<'_, Value<T>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells it. Dropped before, nobody ever will.
#[derive(Debug)]
pub(crate) struct Teller<T>(Arc<Inner<T>>);

/// Waits for it.
#[derive(Debug)]
pub(crate) struct Told<T>(Arc<Inner<T>>);

/// Both ends.
pub(crate) fn told<T>() -> (Teller<T>, Told<T>) {
    let inner = Arc::new(Inner {
        value: Mutex::new(Value::Open),
        told: Notify::new(),
    });
    (Teller(Arc::clone(&inner)), Told(inner))
}

impl<T> Teller<T> {
    /// Tells it, if it was not told before.
    pub(crate) fn tell(&self, value: T) {
        self.end(Value::Told(value));
    }

    fn end(&self, value: Value<T>) {
        let mut now = self.0.value();
        if matches!(*now, Value::Open) {
            *now = value;
            drop(now);
            self.0.told.notify_waiters();
        }
    }
}

impl<T> Drop for Teller<T> {
    fn drop(&mut self) {
        self.end(Value::Never);
    }
}

impl<T> Clone for Told<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Told<T> {
    /// Whether nothing is known yet.
    pub(crate) fn is_open(&self) -> bool {
        matches!(*self.0.value(), Value::Open)
    }

    /// The value; `None` when nobody tells it any more.
    pub(crate) async fn wait(&self) -> Option<T> {
        loop {
            let mut told = std::pin::pin!(self.0.told.notified());
            // Before the look, so that nothing is missed in between.
            told.as_mut().enable();
            match &*self.0.value() {
                Value::Told(value) => return Some(value.clone()),
                Value::Never => return None,
                Value::Open => {}
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::told;

    #[tokio::test]
    async fn everybody_is_told_in_their_order() {
        let (teller, answer) = told::<u32>();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..20 {
            let (answer, order) = (answer.clone(), Arc::clone(&order));
            tasks.spawn(async move {
                let value = answer.wait().await;
                order.lock().unwrap().push((index, value));
            });
        }
        tokio::task::yield_now().await;
        assert!(answer.is_open());
        teller.tell(7);
        teller.tell(8);
        tasks.join_all().await;
        let expected: Vec<_> = (0..20).map(|index| (index, Some(7))).collect();
        assert_eq!(*order.lock().unwrap(), expected);
        assert_eq!(answer.wait().await, Some(7), "also who comes later");
    }

    #[tokio::test]
    async fn nobody_waits_for_one_who_is_gone() {
        let (teller, answer) = told::<u32>();
        let waits = tokio::spawn({
            let answer = answer.clone();
            async move { answer.wait().await }
        });
        tokio::task::yield_now().await;
        drop(teller);
        assert_eq!(waits.await.unwrap(), None);
        assert!(!answer.is_open());
    }
}
