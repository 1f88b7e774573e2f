//! Maps the engine's trap codes to those of the failure record.

use wasmtime::Trap;

use sitewright_model::failure::TrapCode;

pub(crate) fn trap_code(trap: Trap) -> TrapCode {
    match trap {
        Trap::UnreachableCodeReached => TrapCode::Unreachable,
        Trap::MemoryOutOfBounds | Trap::HeapMisaligned | Trap::ArrayOutOfBounds => {
            TrapCode::OutOfBounds
        }
        Trap::StackOverflow => TrapCode::StackOverflow,
        Trap::IntegerDivisionByZero => TrapCode::DivideByZero,
        Trap::IntegerOverflow => TrapCode::IntegerOverflow,
        Trap::BadConversionToInteger => TrapCode::BadConversion,
        Trap::TableOutOfBounds
        | Trap::IndirectCallToNull
        | Trap::BadSignature
        | Trap::NullReference => TrapCode::BadIndirectCall,
        Trap::AsyncDeadlock | Trap::NoAsyncResult => TrapCode::Deadlock,
        Trap::Interrupt | Trap::OutOfFuel => TrapCode::Cpu,
        Trap::AllocationTooLarge => TrapCode::Memory,
        Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::InvalidDiscriminant
        | Trap::InvalidChar
        | Trap::UnalignedPointer
        | Trap::CannotEnterComponent
        | Trap::CannotLeaveComponent
        | Trap::CannotBlockSyncTask
        | Trap::TaskReturnInvalid
        | Trap::TaskCancelNotCancelled
        | Trap::TaskCancelOrReturnTwice
        | Trap::UnsupportedCallbackCode
        | Trap::ConcurrentFutureStreamOp
        | Trap::StreamOpTooBig => TrapCode::InvalidValue,
        _ => TrapCode::Other,
    }
}
