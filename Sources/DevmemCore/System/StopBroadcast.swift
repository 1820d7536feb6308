import CDevmem
import Glibc
import Synchronization
import SystemPackage

/// Tells all threads of a session to stop. A signal can be read only once, so one thread reads it
/// and announces it to the others.
package final class StopBroadcast: Sendable {
    /// Readable from the announcement on; never drained.
    private let event: Descriptor
    private let reason = Mutex<Int32?>(nil)

    package init() throws(DevmemError) {
        event = try makeEventDescriptor()
    }

    /// The descriptor that a thread polls besides its own.
    package var rawValue: Int32 { event.rawValue }

    /// The announced signal; nil if none was.
    var announced: Int32? { reason.withLock { $0 } }

    /// Announces a signal; only the first announcement counts.
    package func announce(_ signal: Int32) {
        reason.withLock { if $0 == nil { $0 = signal } }
        notify(event)
    }
}

/// Creates an eventfd that is not readable.
package func makeEventDescriptor() throws(DevmemError) -> Descriptor {
    Descriptor(
        owning: try retrying("make an eventfd") {
            eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        })
}

/// Makes an eventfd readable.
package func notify(_ event: borrowing Descriptor) {
    var one: UInt64 = 1
    _ = write(event.rawValue, &one, MemoryLayout<UInt64>.size)
}
