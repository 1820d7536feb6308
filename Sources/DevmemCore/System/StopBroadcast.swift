import CDevmem
import Glibc
import Synchronization
import SystemPackage

/// Tells all threads of a session to stop. A signal that is read is gone for the others, so one
/// thread reads it and passes it on.
package final class StopBroadcast: Sendable {
    /// Readable from the moment of the announcement on; nobody ever reads it empty.
    private let event: Descriptor
    private let reason = Mutex<Int32?>(nil)

    package init() throws(DevmemError) {
        event = try makeEvent()
    }

    /// The descriptor that a thread polls beside its own.
    package var rawValue: Int32 { event.rawValue }

    /// The signal that was announced; nil before.
    var announced: Int32? { reason.withLock { $0 } }

    /// Announces a signal; the first one counts.
    package func announce(_ signal: Int32) {
        reason.withLock { if $0 == nil { $0 = signal } }
        ring(event)
    }
}

/// An eventfd that is not readable yet.
package func makeEvent() throws(DevmemError) -> Descriptor {
    Descriptor(
        owning: try retrying("make an eventfd") {
            eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        })
}

/// Makes an eventfd readable.
package func ring(_ event: borrowing Descriptor) {
    var one: UInt64 = 1
    _ = write(event.rawValue, &one, MemoryLayout<UInt64>.size)
}
