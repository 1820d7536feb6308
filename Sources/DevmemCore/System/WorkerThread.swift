import Glibc
import SystemPackage

/// Holds what a thread runs until it does.
private final class Work: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
    }
}

/// Runs something in a thread of its own, in which blocked signals stay blocked. Nobody waits for
/// the thread itself; what it runs tells when it is done. Advice is worded there as it is here.
///
/// - Throws: `DevmemError` of kind `system` with the error number of pthread_create(3).
package func runInThread(_ body: @escaping @Sendable () -> Void) throws(DevmemError) {
    let style = AdviceStyle.current
    let work = Unmanaged.passRetained(
        Work { AdviceStyle.$current.withValue(style, operation: body) })
    var thread = pthread_t()
    let code = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
            return nil
        }, work.toOpaque())
    guard code == 0 else {
        work.release()
        throw DevmemError(.system, call: "start a thread", errno: Errno(rawValue: code))
    }
    pthread_detach(thread)
}
