//! Something for each page size of a cgroup: one or two, so a list. A map keeps room for eleven, and with what is
//! remembered of 1,000 containers that was a third of all that the agent held.

use crate::units::PageSize;

/// The smallest size first.
#[derive(Debug, Clone)]
pub(super) struct BySize<T>(Vec<(PageSize, T)>);

impl<T> BySize<T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn get(&self, page_size: PageSize) -> Option<&T> {
        let place = self.place(page_size).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// What there is for that size, made if there is nothing.
    pub(super) fn get_or_make(
        &mut self,
        page_size: PageSize,
        make: impl FnOnce() -> T,
    ) -> Option<&mut T> {
        let place = self.place(page_size).unwrap_or_else(|place| {
            // Room for one more and no others.
            self.0.reserve_exact(1);
            self.0.insert(place, (page_size, make()));
            place
        });
        self.0.get_mut(place).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PageSize, &T)> {
        self.0.iter().map(|(page_size, value)| (*page_size, value))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    fn place(&self, page_size: PageSize) -> Result<usize, usize> {
        self.0.binary_search_by_key(&page_size, |(known, _)| *known)
    }
}
