import Synchronization

/// A terminal line that is overwritten as work progresses. Other output to the terminal goes
/// through `interrupt`, so that it is not appended to the line.
final class LiveLine: Sendable {
    /// The line on standard error.
    static let standard = LiveLine(writeTerminal)

    /// Moves the cursor to the start of the line and erases the line.
    private static let clearing = "\r\u{1b}[K"

    private let isOpen = Mutex(false)
    private let write: @Sendable (String) -> Void

    /// - Parameter write: writes to the terminal without filtering; control characters move the
    ///   cursor.
    init(_ write: @escaping @Sendable (String) -> Void) {
        self.write = write
    }

    /// Replaces the contents of the line. The text must be this program's own.
    func show(_ text: String) {
        isOpen.withLock { isOpen in
            write(Self.clearing + text)
            isOpen = true
        }
    }

    /// Removes the line if it is shown, and runs `speak` to print something in its place.
    func interrupt(_ speak: () -> Void = {}) {
        isOpen.withLock { isOpen in
            if isOpen { write(Self.clearing) }
            isOpen = false
            speak()
        }
    }
}
