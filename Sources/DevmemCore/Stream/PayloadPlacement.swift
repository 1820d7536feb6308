/// Where the payload of a stream came to. The keys of its JSON form are stable.
package struct PayloadPlacement: Codable, Equatable, Sendable {
    /// How much of it came in device memory.
    package enum Verdict: String, Codable, Sendable {
        /// There was no payload.
        case nothing
        /// All of it.
        case device
        /// Some of it.
        case mixed
        /// Not one byte.
        case host
    }

    /// The part of the payload that came in device memory, from 0 to 1; zero without payload.
    package var deviceShare: Double
    /// How much that is.
    package var verdict: Verdict
    /// Why the rest did not, as far as that can be told; nil if there is no rest.
    package var reason: String?

    /// Judges payload by what was counted. Pure.
    ///
    /// - Parameters:
    ///   - counts: what came.
    ///   - reason: why some came outside device memory; left out if none did.
    package init(_ counts: ReceiveCounts, reason: String?) {
        deviceShare = counts.bytes > 0 ? Double(counts.deviceBytes) / Double(counts.bytes) : 0
        verdict =
            counts.bytes == 0
            ? .nothing
            : counts.deviceBytes == counts.bytes
                ? .device : counts.deviceBytes == 0 ? .host : .mixed
        self.reason = verdict == .mixed || verdict == .host ? reason : nil
    }

    /// What makes it a failure where device memory was asked for: nothing came there. Nil if it is
    /// none.
    package var failure: String? {
        guard verdict == .host else { return nil }
        return "no payload came in device memory" + (reason.map { ": \($0)" } ?? "")
    }

    private enum CodingKeys: String, CodingKey {
        case verdict, reason
        case deviceShare = "device_share"
    }
}

extension MisplacedStream {
    /// What is known of a stream by its end.
    package init(_ counts: ReceiveCounts, from peer: IPAddress?, through napiID: UInt32?) {
        let isLocal = peer.map { (try? NetworkInterface(holding: $0.unmapped)) != nil }
        self.init(
            isLocal: isLocal ?? false, napiID: napiID, isLinear: counts.ordinaryBytes == 0)
    }
}

extension BoundNIC {
    /// Says of payload how much came in device memory, and why the rest did not.
    ///
    /// - Parameters:
    ///   - counts: the payload.
    ///   - stream: what is known of the stream; asked for only if some came elsewhere.
    /// - Returns: the judgement; without a reason if the NIC was not steered for the stream.
    package func placement(
        of counts: ReceiveCounts, in stream: @autoclosure () -> MisplacedStream
    ) -> PayloadPlacement {
        PayloadPlacement(
            counts, reason: counts.deviceBytes < counts.bytes ? reason(for: stream()) : nil)
    }
}
