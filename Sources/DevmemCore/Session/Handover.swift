import Synchronization

/// Holds a value until a thread takes it.
final class Handover<Value: ~Copyable>: Sendable {
    private let content: Mutex<Value?>

    init(_ value: consuming sending Value) {
        content = Mutex(value)
    }

    /// Returns the value; nil if it was taken before.
    func take() -> sending Value? {
        content.withLock { content in
            let value = content
            content = nil
            return value
        }
    }
}
