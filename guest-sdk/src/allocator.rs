//! The component's allocator.
//!
//! Thousands of components wait side by side in one host, so what counts is how many of the
//! system's memory pages each has written to. The C library's allocator marks both ends of the
//! memory it manages, and the far end is up to 64 KiB away from all that is used: a page of 4 KiB for eight bytes. This one gives [Talc](https://docs.rs/talc) page after page instead.
//!
//! The C library has an allocator of its own beside it, for what C asks for. Lists that the host
//! gives to C code (variables, open folders: the sandbox has none) come from Talc, and C's `free`
//! would leak them.

use core::{alloc::Layout, arch::wasm32::memory_grow, mem::MaybeUninit, ptr::NonNull};

use talc::{
    base::{CHUNK_UNIT, Talc, binning::Binning},
    cell::TalcSyncCell,
    source::Source,
    wasm::WasmBinning,
};

#[global_allocator]
static ALLOCATOR: TalcSyncCell<PageByPage, WasmBinning> =
    TalcSyncCell::new_wasm(PageByPage { heap: None });

/// A page of the system that runs the host, which is what is saved.
const HOST_PAGE: usize = 4 << 10;
/// A page of WebAssembly: what memory grows by.
const WASM_PAGE: usize = 64 << 10;

/// Where the heap begins: beside the component's other data, whose last page has been written to
/// anyway. A template that waits for AI needs about 8 KiB.
static mut FIRST: [MaybeUninit<u8>; 8 << 10] = [MaybeUninit::uninit(); 8 << 10];

/// Gives Talc no more than it asks for, rounded up to a page of the host.
#[derive(Debug)]
struct PageByPage {
    heap: Option<Heap>,
}

/// What Talc has, and what it may have without more memory.
#[derive(Debug, Clone, Copy)]
struct Heap {
    end: NonNull<u8>,
    limit: *mut u8,
}

impl Heap {
    /// Where the heap ends when it has `bytes` more above what is in use, without more memory.
    fn end_with(&self, in_use: NonNull<u8>, bytes: usize) -> Option<*mut u8> {
        let end = self.end.as_ptr() as usize;
        let needed = (in_use.as_ptr() as usize).checked_add(bytes)?;
        let wanted = needed.max(end.checked_add(self.step())?);
        let rounded = wanted.checked_next_multiple_of(HOST_PAGE)?.min(self.limit as usize);
        (needed <= rounded && end < rounded).then(|| self.end.as_ptr().wrapping_add(rounded - end))
    }

    /// How much it grows by at least. Each time Talc asks it has looked through many gaps in vain:
    /// a large heap must not grow page by page.
    fn step(&self) -> usize {
        let size = (self.end.as_ptr() as usize).saturating_sub((&raw const FIRST) as usize);
        (size / 16).clamp(1, 1 << 20)
    }
}

#[allow(unsafe_code, reason = "an allocator hands out memory that nobody else has")]
// SAFETY: nothing in here allocates.
unsafe impl Source for PageByPage {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let Some(mut heap) = talc.source.heap else {
            let begin = (&raw mut FIRST).cast::<u8>();
            let limit = (&raw mut FIRST).wrapping_add(1).cast::<u8>();
            // SAFETY: the array is named here alone.
            let end = unsafe { talc.claim(begin, HOST_PAGE) }.ok_or(())?;
            talc.source.heap = Some(Heap { end, limit });
            return Ok(());
        };
        // Talc adds a tag and what the alignment skips.
        let bytes = layout.size().checked_add(layout.align() + 2 * CHUNK_UNIT).ok_or(())?;
        if bytes > isize::MAX as usize {
            return Err(());
        }
        // SAFETY: it is the end that Talc told.
        let in_use = unsafe { talc.reserved(heap.end) }.up_to;
        if let Some(end) = heap.end_with(in_use, bytes) {
            // SAFETY: what lies below the limit is Talc's to have.
            heap.end = unsafe { talc.extend(heap.end, end) };
            talc.source.heap = Some(heap);
            return Ok(());
        }
        // What is free at the end counts when the new memory follows it; otherwise Talc asks once
        // more.
        let free = (heap.limit as usize).saturating_sub(in_use.as_ptr() as usize);
        let missing = bytes.saturating_sub(free).max(heap.step());
        let pages = missing.checked_add(HOST_PAGE).ok_or(())?.div_ceil(WASM_PAGE);
        let before = memory_grow::<0>(pages);
        if before == usize::MAX {
            return Err(());
        }
        let begin = (before * WASM_PAGE) as *mut u8;
        let limit = begin.wrapping_add(pages * WASM_PAGE);
        if begin != heap.limit {
            // SAFETY: as above.
            unsafe { talc.extend(heap.end, heap.limit) };
            // SAFETY: the memory is new.
            heap.end = unsafe { talc.claim(begin, HOST_PAGE) }.ok_or(())?;
        }
        talc.source.heap = Some(Heap { limit, ..heap });
        // Talc asks again when it does not have enough yet.
        Ok(())
    }
}
