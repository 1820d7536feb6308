import DevmemCore
import Logging

/// Writes text to a file, or to standard output for `-`, and syncs it to disk. A pipe may wait for its
/// reader until a signal arrives.
///
/// - Throws: `DevmemError` of kind `system` if the file cannot be written, with EINTR and the signal if
///   one arrives first.
func writeFile(_ path: String, _ text: String, _ logger: Logger) throws(DevmemError) {
    // Those that the benchmark blocked are still blocked.
    let stop = try StopSignal.ofUser()
    var file = try OutputStream(path, until: stop) { logger.warning("\($0); the file waits") }
    try file.begin()
    if let signal = try file.write(text, until: stop) {
        throw DevmemError.interrupted("write to \(path)", by: signal)
    }
    try file.store()
}
