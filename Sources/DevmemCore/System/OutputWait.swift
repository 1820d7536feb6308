import CDevmem
import Glibc

/// Waits until a descriptor takes output, or until a signal comes that would end the program if it were
/// not blocked. The signal stays pending, for the `StopSignal` that blocked it.
///
/// - Parameters:
///   - number: the descriptor.
///   - milliseconds: the timeout; a negative number means none.
/// - Returns: whether the descriptor takes output, or a write would fail at once.
/// - Throws: `DevmemError` of kind `system` if poll(2) fails.
package func awaitOutput(
    _ number: Int32, milliseconds: Int32 = -1
) throws(DevmemError) -> Bool {
    if try poll(number, for: .output, milliseconds: 0) { return true }
    var watched = PollSet<2>()
    watched.watch(0, number, for: .output)
    watched.watch(1, pendingStops)
    try watched.wait(milliseconds: milliseconds)
    return !watched.ready(0).isEmpty
}

/// Readable while such a signal is pending; -1 if signalfd(2) has failed. It is neither read nor closed.
private let pendingStops: Int32 = {
    var set = signalSet(SignalRole.signals(.stops))
    return signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
}()
