/// The memory in which a stream's payload arrived. The keys of its JSON form are stable.
package struct PayloadPlacement: Codable, Equatable, Sendable {
    /// How much of the payload arrived in device memory.
    package enum Verdict: String, Codable, Sendable {
        /// There was no payload.
        case nothing
        /// All of it.
        case device
        /// Some of it.
        case mixed
        /// None of it.
        case host
    }

    /// The fraction of the payload that arrived in device memory, from 0 to 1; 0 without payload.
    package var deviceShare: Double
    /// The verdict on that fraction.
    package var verdict: Verdict
    /// Why the rest did not, as far as known; nil if there is no rest.
    package var reason: String?

    /// Evaluates the counts of a stream. Pure.
    ///
    /// - Parameters:
    ///   - counts: the counts.
    ///   - reason: why payload arrived outside device memory; ignored if none did.
    package init(_ counts: ReceiveCounts, reason: String?) {
        deviceShare = counts.bytes > 0 ? Double(counts.deviceBytes) / Double(counts.bytes) : 0
        verdict =
            counts.bytes == 0
            ? .nothing
            : counts.deviceBytes == counts.bytes
                ? .device : counts.deviceBytes == 0 ? .host : .mixed
        self.reason = verdict == .mixed || verdict == .host ? reason : nil
    }

    /// The failure if device memory was requested and no payload arrived there; otherwise nil.
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
    /// Creates a description of a finished stream.
    package init(_ counts: ReceiveCounts, from peer: IPAddress?, through napiID: UInt32?) {
        let isLocal = peer.map { (try? NetworkInterface(holding: $0.unmapped)) != nil }
        self.init(
            isLocal: isLocal ?? false, napiID: napiID, isLinear: counts.ordinaryBytes == 0)
    }
}

extension BoundNIC {
    /// Returns how much payload arrived in device memory, and why the rest did not.
    ///
    /// - Parameters:
    ///   - counts: the counts of the payload.
    ///   - stream: the stream; evaluated only if some payload arrived elsewhere.
    /// - Returns: the placement, without a reason if the NIC was not steered for the stream.
    package func placement(
        of counts: ReceiveCounts, in stream: @autoclosure () -> MisplacedStream
    ) -> PayloadPlacement {
        PayloadPlacement(
            counts, reason: counts.deviceBytes < counts.bytes ? reason(for: stream()) : nil)
    }
}
