//! Checks that blocks from the SDK's allocator are aligned and do not overlap.

use std::{
    alloc::{Layout, alloc, dealloc, realloc},
    slice,
};

use sitewright_sdk::prelude::*;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut u8;
}

/// Maximum number of live blocks.
const BLOCKS: usize = 64;

/// One allocated block, filled with a repeated byte.
struct Block {
    start: *mut u8,
    layout: Layout,
    fill: u8,
}

impl Block {
    fn new(layout: Layout, fill: u8) -> Result<Self> {
        // SAFETY: the size of the layout is not zero.
        let start = unsafe { alloc(layout) };
        let mut block = Block { start, layout, fill };
        block.check(0)?;
        block.fill();
        Ok(block)
    }

    fn resized(self, size: usize) -> Result<Self> {
        let layout = Layout::from_size_align(size, self.layout.align())?;
        // SAFETY: the block comes from `alloc` with this layout.
        let start = unsafe { realloc(self.start, self.layout, size) };
        let mut block = Block { start, layout, fill: self.fill };
        block.check(size.min(self.layout.size()))?;
        block.fill();
        Ok(block)
    }

    fn free(self) -> Result<()> {
        self.check(self.layout.size())?;
        // SAFETY: as in `resized`.
        unsafe { dealloc(self.start, self.layout) };
        Ok(())
    }

    fn fill(&mut self) {
        // SAFETY: the block has this size.
        unsafe { self.start.write_bytes(self.fill, self.layout.size()) };
    }

    /// Checks the alignment of the block and the content of its first `filled` bytes.
    fn check(&self, filled: usize) -> Result<()> {
        if self.start.is_null() || !(self.start as usize).is_multiple_of(self.layout.align()) {
            return Err(Error::new(
                "misplaced",
                format!("a block for {:?} at {:?}", self.layout, self.start),
            ));
        }
        // SAFETY: the first `filled` bytes were initialized.
        let bytes = unsafe { slice::from_raw_parts(self.start, filled) };
        match bytes.iter().position(|&byte| byte != self.fill) {
            None => Ok(()),
            Some(at) => Err(Error::new(
                "overwritten",
                format!("byte {at} of a block for {:?}", self.layout),
            )),
        }
    }
}

/// Allocates memory with the C library and leaks it.
fn leak_from_c(bytes: usize) -> Result<()> {
    // SAFETY: `malloc` accepts any size.
    let start = unsafe { malloc(bytes) };
    if start.is_null() {
        return Err(Error::new("no-memory", "the C library has none"));
    }
    // SAFETY: the block has this size.
    unsafe { start.write_bytes(0xff, bytes) };
    Ok(())
}

/// Allocates, resizes and frees blocks of all sizes in a pseudo-random sequence of `steps`, and
/// checks the content of each block before it is freed.
pub(crate) fn allocations(steps: u32) -> Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut blocks: Vec<Block> = Vec::new();
    for step in 0..steps {
        // Mostly small blocks of up to 32 KiB, rarely one of up to 1 MiB.
        let (mut max, alignments) = (1 << (3 + random(13)), if random(50) == 0 { 13 } else { 5 });
        if random(1_000) == 0 {
            max = 1 << 20;
            // The C library's allocator grows the same memory.
            leak_from_c(10_000)?;
        }
        let (size, align) = (1 + random(max), 1 << random(alignments));
        match random(3) {
            _ if blocks.is_empty() => {
                blocks.push(Block::new(Layout::from_size_align(size, align)?, step as u8)?)
            }
            0 if blocks.len() < BLOCKS => {
                blocks.push(Block::new(Layout::from_size_align(size, align)?, step as u8)?);
            }
            1 => {
                let block = blocks.swap_remove(random(blocks.len()));
                blocks.push(block.resized(size)?);
            }
            _ => blocks.swap_remove(random(blocks.len())).free()?,
        }
    }
    blocks.into_iter().try_for_each(Block::free)
}
