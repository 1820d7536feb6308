package import DevmemCore
import Glibc

/// Waits until a condition holds, for what no descriptor reports.
///
/// - Parameters:
///   - what: the condition, in words.
///   - condition: is checked every millisecond.
/// - Throws: `DevmemError` of kind `system` with ETIMEDOUT after 30 s, and what the condition throws.
package func awaitCondition(
    _ what: String, _ condition: () throws(DevmemError) -> Bool
) throws(DevmemError) {
    let deadline = ContinuousClock.now + .seconds(30)
    while try !condition() {
        guard ContinuousClock.now < deadline else {
            throw DevmemError(.system, call: "wait until \(what)", errno: .timedOut)
        }
        _ = poll(nil, 0, 1)
    }
}
