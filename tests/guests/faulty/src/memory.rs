//! What the SDK's allocator gives: memory that is nobody else's.

use std::{
    alloc::{Layout, alloc, dealloc, realloc},
    slice,
};

use sitewright_sdk::prelude::*;

unsafe extern "C" {
    fn malloc(size: usize) -> *mut u8;
}

/// Most blocks that are kept at once.
const BLOCKS: usize = 64;

/// One block, filled with one byte.
struct Block {
    begin: *mut u8,
    layout: Layout,
    filling: u8,
}

impl Block {
    fn new(layout: Layout, filling: u8) -> Result<Self> {
        // SAFETY: the size is not zero.
        let begin = unsafe { alloc(layout) };
        let mut block = Block { begin, layout, filling };
        block.whole(0)?;
        block.fill();
        Ok(block)
    }

    fn resized(self, size: usize) -> Result<Self> {
        let layout = Layout::from_size_align(size, self.layout.align())?;
        // SAFETY: the block is from `alloc`, with this layout.
        let begin = unsafe { realloc(self.begin, self.layout, size) };
        let mut block = Block { begin, layout, filling: self.filling };
        block.whole(size.min(self.layout.size()))?;
        block.fill();
        Ok(block)
    }

    fn free(self) -> Result<()> {
        self.whole(self.layout.size())?;
        // SAFETY: as in `resized`.
        unsafe { dealloc(self.begin, self.layout) };
        Ok(())
    }

    fn fill(&mut self) {
        // SAFETY: the block is that large.
        unsafe { self.begin.write_bytes(self.filling, self.layout.size()) };
    }

    /// Whether the block is where it may be, and its first bytes are what was written to them.
    fn whole(&self, filled: usize) -> Result<()> {
        if self.begin.is_null() || !(self.begin as usize).is_multiple_of(self.layout.align()) {
            return Err(Error::new(
                "misplaced",
                format!("a block for {:?} at {:?}", self.layout, self.begin),
            ));
        }
        // SAFETY: so many were written.
        let bytes = unsafe { slice::from_raw_parts(self.begin, filled) };
        match bytes.iter().position(|&byte| byte != self.filling) {
            None => Ok(()),
            Some(at) => Err(Error::new(
                "overwritten",
                format!("byte {at} of a block for {:?}", self.layout),
            )),
        }
    }
}

/// Has the C library take memory, and keep it.
fn taken_by_c(bytes: usize) -> Result<()> {
    // SAFETY: it is C's own function.
    let begin = unsafe { malloc(bytes) };
    if begin.is_null() {
        return Err(Error::new("no-memory", "the C library has none"));
    }
    // SAFETY: the block is that large.
    unsafe { begin.write_bytes(0xff, bytes) };
    Ok(())
}

/// Makes, resizes and frees `steps` blocks of all sizes, in an order that looks like none, and
/// looks at each before it goes.
pub(crate) fn allocations(steps: u32) -> Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut blocks: Vec<Block> = Vec::new();
    for step in 0..steps {
        // Small ones mostly, up to 32 KiB; seldom one of up to 1 MiB.
        let (mut most, aligned) = (1 << (3 + random(13)), if random(50) == 0 { 13 } else { 5 });
        if random(1_000) == 0 {
            most = 1 << 20;
            // The C library's own allocator takes memory in between.
            taken_by_c(10_000)?;
        }
        let (size, align) = (1 + random(most), 1 << random(aligned));
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
