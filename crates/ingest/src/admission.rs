//! How much may be worked on at the same time: requests, and the bytes of their bodies.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::reject::Reject;

/// What one unit of the bytes' semaphore stands for.
const UNIT: usize = 1_024;

/// The bounds on what is in work.
#[derive(Debug)]
pub(crate) struct Admission {
    /// A place for each request.
    requests: Semaphore,
    /// A place for each [`UNIT`] of a body.
    bytes: Semaphore,
}

/// A request that was let in; its places are free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted<'a> {
    /// Its place among the requests.
    _request: SemaphorePermit<'a>,
    /// Its places among the bytes.
    _bytes: SemaphorePermit<'a>,
}

impl Admission {
    /// Lets in so many requests at a time, whose bodies together have at most so many bytes.
    pub(crate) fn new(requests: usize, bytes: usize) -> Self {
        let places = |count: usize| Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS));
        Self { requests: places(requests), bytes: places(bytes.div_ceil(UNIT)) }
    }

    /// Lets a request in whose body has at most so many bytes.
    pub(crate) fn admit(&self, bytes: usize) -> Result<Admitted<'_>, Reject> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).max(1);
        let request = self.requests.try_acquire().map_err(|_| Reject::Overloaded)?;
        let bytes = self.bytes.try_acquire_many(units).map_err(|_| Reject::Overloaded)?;
        Ok(Admitted { _request: request, _bytes: bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;

    #[test]
    fn requests_and_bytes_are_bounded_each_by_itself_and_given_back() {
        let admission = Admission::new(2, 10_240);
        let first = admission.admit(1).unwrap();
        let second = admission.admit(9_216).unwrap();
        assert!(admission.admit(1).is_err(), "a third request");
        drop(first);
        assert!(admission.admit(1_025).is_err(), "more bytes than are left");
        let third = admission.admit(1_024).unwrap();
        drop((second, third));
        assert!(admission.admit(10_240).is_ok());
    }
}
