import DevmemCore
import Logging
import SystemPackage

/// Writes text to a file and syncs it to disk. A pipe may wait for its reader until a signal arrives.
///
/// - Throws: `DevmemError` of kind `system` if the file cannot be written, with EINTR and the signal if
///   one arrives first.
func writeFile(_ path: String, _ text: String, _ logger: Logger) throws(DevmemError) {
    // Those that the benchmark blocked are still blocked.
    let stop = try StopSignal.ofUser()
    var file = try OutputStream(path, until: stop) { logger.warning("\($0); the file waits") }
    try file.begin()
    if let signal = try file.write(text, until: stop) {
        var error = DevmemError(.system, call: "write to \(path)", errno: .interrupted)
        error.signal = signal
        throw error
    }
    try file.store()
}
