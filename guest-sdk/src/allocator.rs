//! The component's allocator.
//!
//! Thousands of components wait in one host at the same time, so what counts is the number of host
//! memory pages that each has written to. The C library's allocator writes to both ends of the
//! memory it manages, and the far end is up to 64 KiB away from the used memory: 4 KiB for eight
//! bytes. This one gives [Talc](https://docs.rs/talc) one host page after the other instead.
//!
//! C code still uses the C library's allocator. Lists that the host passes to C code (environment
//! variables, open directories: the sandbox has none) are allocated by Talc, and C's `free` would
//! leak them.

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

/// Size of a page of the host's operating system, in bytes: the unit to save.
const HOST_PAGE: usize = 4 << 10;
/// Size of a WebAssembly page, in bytes: the unit in which memory grows.
const WASM_PAGE: usize = 64 << 10;

/// The beginning of the heap, next to the component's static data, whose last page is written to
/// anyway. A template that waits for an AI call needs about 8 KiB.
static mut FIRST: [MaybeUninit<u8>; 8 << 10] = [MaybeUninit::uninit(); 8 << 10];

/// Extends Talc's heap by what it requests, rounded up to a host page.
#[derive(Debug)]
struct PageByPage {
    heap: Option<Heap>,
}

/// The end of Talc's heap, and how far it can extend without growing the memory.
#[derive(Debug, Clone, Copy)]
struct Heap {
    end: NonNull<u8>,
    limit: *mut u8,
}

impl Heap {
    /// The new end of the heap with `bytes` free bytes above `in_use`. `None` if the memory must
    /// grow for that.
    fn end_with(&self, in_use: NonNull<u8>, bytes: usize) -> Option<*mut u8> {
        let end = self.end.as_ptr() as usize;
        let needed = (in_use.as_ptr() as usize).checked_add(bytes)?;
        let wanted = needed.max(end.checked_add(self.step())?);
        let rounded = wanted.checked_next_multiple_of(HOST_PAGE)?.min(self.limit as usize);
        (needed <= rounded && end < rounded).then(|| self.end.as_ptr().wrapping_add(rounded - end))
    }

    /// The minimum to grow by, in bytes. Before each request Talc has searched its free lists in
    /// vain, which is expensive: a large heap must not grow page by page.
    fn step(&self) -> usize {
        let size = (self.end.as_ptr() as usize).saturating_sub((&raw const FIRST) as usize);
        (size / 16).clamp(1, 1 << 20)
    }
}

#[allow(unsafe_code, reason = "an allocator must guarantee that no one else uses its memory")]
// SAFETY: no function here allocates.
unsafe impl Source for PageByPage {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let Some(mut heap) = talc.source.heap else {
            let begin = (&raw mut FIRST).cast::<u8>();
            let limit = (&raw mut FIRST).wrapping_add(1).cast::<u8>();
            // SAFETY: nothing else refers to the array.
            let end = unsafe { talc.claim(begin, HOST_PAGE) }.ok_or(())?;
            talc.source.heap = Some(Heap { end, limit });
            return Ok(());
        };
        // Talc adds a tag and the padding for the alignment.
        let bytes = layout.size().checked_add(layout.align() + 2 * CHUNK_UNIT).ok_or(())?;
        if bytes > isize::MAX as usize {
            return Err(());
        }
        // SAFETY: it is the end that Talc returned.
        let in_use = unsafe { talc.reserved(heap.end) }.up_to;
        if let Some(end) = heap.end_with(in_use, bytes) {
            // SAFETY: the memory below the limit is reserved for Talc.
            heap.end = unsafe { talc.extend(heap.end, end) };
            talc.source.heap = Some(heap);
            return Ok(());
        }
        // The free bytes at the end count only if the new memory is adjacent; otherwise Talc
        // requests again.
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
            // SAFETY: the memory has just been allocated.
            heap.end = unsafe { talc.claim(begin, HOST_PAGE) }.ok_or(())?;
        }
        talc.source.heap = Some(Heap { limit, ..heap });
        // Talc requests again if this is not enough.
        Ok(())
    }
}
