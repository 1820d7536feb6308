/// What is done with received payload: written, compared with a pattern, both, or nothing.
package struct PayloadConsumer: ~Copyable {
    /// The destination, if payload is kept.
    var output: OutputStream?
    /// The comparison, if payload is checked.
    package private(set) var checker: PatternChecker?

    /// What is to go back to the peer, if it is to.
    var echo: EchoQueue?

    /// Makes a consumer; without output and pattern payload is discarded unread.
    package init(output: consuming OutputStream?, pattern: Pattern?) {
        self.output = output
        checker = pattern.map { PatternChecker($0) }
    }

    /// How payload compared so far; nil if it is not compared.
    package var validation: PatternComparison? {
        checker.map {
            PatternComparison(
                checkedBytes: $0.checkedBytes, wrongBytes: $0.wrongBytes,
                firstMismatch: $0.firstMismatch)
        }
    }

    /// Whether the CPU looks at payload at all.
    var readsPayload: Bool {
        if checker != nil || echo != nil { return true }
        switch output {
        case .some: return true
        case .none: return false
        }
    }

    mutating func begin() throws(DevmemError) {
        try output?.begin()
    }

    /// Writes what is held back; nothing may follow.
    mutating func finish() throws(DevmemError) {
        try output?.finish()
    }

    /// Has what was written put on the disk, which may take long, and closes the destination; nothing
    /// may follow.
    mutating func store() throws(DevmemError) {
        guard let stream = output.take() else { return }
        try stream.store()
    }

    /// Bytes that went straight from device memory to the file; nil if they were not to.
    var directBytes: UInt64? {
        switch output {
        case .some(let stream): stream.directBytes
        case .none: nil
        }
    }

    mutating func abandon() {
        output?.discard()
    }

    /// Takes payload in stream order.
    ///
    /// - Returns: the signal that cut it short; nil if all is taken.
    mutating func take(
        _ extents: [PayloadExtents.Extent], device: UnsafeRawBufferPointer,
        host: UnsafeRawBufferPointer, stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        if checker != nil || echo != nil {
            for extent in extents {
                let memory = extent.source == .device ? device : host
                let bytes = UnsafeRawBufferPointer(
                    rebasing: memory[extent.offset..<extent.offset + extent.length])
                checker?.check(bytes)
                echo?.append(bytes)
            }
        }
        return try output?.write(extents, device: device, host: host, stop: stop) ?? nil
    }
}
