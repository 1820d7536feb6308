import Synchronization

/// A line on a terminal that is written over as things go on. Whatever else is said meanwhile goes through
/// it, so that it does not land behind the line.
final class LiveLine: Sendable {
    /// That of standard error.
    static let standard = LiveLine(writeTerminal)

    /// Goes to the line's start and empties it.
    private static let clearing = "\r\u{1b}[K"

    private let isOpen = Mutex(false)
    private let write: @Sendable (String) -> Void

    /// - Parameter write: writes to the terminal as it is; control characters move its cursor.
    init(_ write: @escaping @Sendable (String) -> Void) {
        self.write = write
    }

    /// Shows a text, of this program's own, in place of what the line showed.
    func show(_ text: String) {
        isOpen.withLock { isOpen in
            write(Self.clearing + text)
            isOpen = true
        }
    }

    /// Removes the line, if there is one, and says something in its place.
    func interrupt(_ speak: () -> Void = {}) {
        isOpen.withLock { isOpen in
            if isOpen { write(Self.clearing) }
            isOpen = false
            speak()
        }
    }
}
