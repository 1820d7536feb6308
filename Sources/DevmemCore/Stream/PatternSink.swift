package import Logging

/// The result of comparing payload with a pattern.
package struct PatternComparison: Codable, Equatable, Sendable {
    /// The number of bytes compared.
    package var checkedBytes: UInt64
    /// The number of bytes that differ.
    package var wrongBytes: UInt64
    /// The first byte that differs.
    package var firstMismatch: PatternChecker.Mismatch?

    private enum CodingKeys: String, CodingKey {
        case checkedBytes = "checked_bytes"
        case wrongBytes = "wrong_bytes"
        case firstMismatch = "first_mismatch"
    }
}

/// Compares payload with a pattern.
package struct PatternSink: SessionSink {
    private var checker: PatternChecker
    private let logger: Logger

    /// Creates a sink that expects the pattern from its beginning.
    ///
    /// - Parameters:
    ///   - pattern: the pattern.
    ///   - logger: logs why a device cannot compare.
    package init(_ pattern: Pattern, logger: Logger = .silent) {
        checker = PatternChecker(pattern)
        self.logger = logger
    }

    /// Only the location: a device may compare, and otherwise access begins when it is needed.
    package var needs: PayloadNeeds { .extents }

    /// The result so far.
    package var comparison: PatternComparison {
        PatternComparison(
            checkedBytes: checker.checkedBytes, wrongBytes: checker.wrongBytes,
            firstMismatch: checker.firstMismatch)
    }

    package var findings: SinkFindings { SinkFindings(validation: comparison) }

    package mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        try payload.compare(with: &checker, logger)
        return nil
    }
}
