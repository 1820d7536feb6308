import DevmemCore
import Glibc
import SystemPackage

extension ValidationCase {
    /// Events on a NIC that must not disturb the reception of payload.
    static var disturbanceCases: [ValidationCase] {
        [
            restartBeside("traffic", .socket, needs: []),
            ValidationCase(
                "traffic", "unbind",
                "after unbinding, received payload is kept and the rest arrives in ordinary memory",
                needs: .receiving + [.remote]
            ) { run throws(DevmemError) in
                // The memory is smaller than the payload, so that some of it must arrive after
                // unbinding.
                let fixture = try run.fixture(ReceiveFixture.Kind(memory: 1 << 20))
                var isUnbound = false
                let (counts, verdict) = try run.receive(
                    on: fixture, bytes: trafficBytes, mayLieElsewhere: true
                ) { bytes in
                    guard !isUnbound, bytes > trafficBytes / 4 else { return }
                    isUnbound = true
                    fixture.unbind()
                }
                try run.releaseFixture()
                guard case .pass = verdict else { return verdict }
                return DevmemTools.verdict(
                    unless: counts.deviceBytes >= trafficBytes / 4
                        ? nil : "only \(counts.deviceBytes) bytes arrived in device memory before",
                    counts.ordinaryBytes > 0 ? nil : "nothing arrived in ordinary memory afterwards"
                )
            },
            ValidationCase(
                "traffic", "bind-again", "afterwards a queue can be bound again and receives",
                needs: .receiving + [.remote]
            ) { run throws(DevmemError) in
                try run.receive(on: run.fixture(), bytes: 1 << 20) { _ in }.verdict
            },
        ]
    }
}

/// The number of payload bytes of a disturbed stream.
private let trafficBytes: UInt64 = 8 << 20

extension ValidationCase {
    /// A case that restarts the queue beside one that receives.
    static func restartBeside(
        _ family: String, _ engine: ReceiveEngineChoice, needs: [CaseNeed]
    ) -> ValidationCase {
        ValidationCase(
            family, "restart-beside", "restarting a queue does not disturb its neighbour",
            needs: .receiving + [.freeQueues(2), .remote] + needs
        ) { run throws(DevmemError) in
            let fixture = try run.fixture(
                ReceiveFixture.Kind(unboundQueues: 1, engine: engine, memory: 8 << 20))
            let scratch = try run.makeMemory(8 << 20)
            let unbound = try fixture.unboundQueue
            var restarts = 0
            var refusal: DevmemError?
            let (_, verdict) = try run.receive(on: fixture, bytes: trafficBytes) { bytes in
                guard refusal == nil, bytes > UInt64(restarts + 1) * trafficBytes / 8 else {
                    return
                }
                do throws(DevmemError) {
                    // Binding restarts the queue, and so does unbinding.
                    let binding = try ReceiveBinding(
                        dmabuf: scratch.descriptor, interface: run.interface, queues: [unbound])
                    withExtendedLifetime(binding) {}
                    restarts += 1
                } catch {
                    refusal = error
                }
            }
            if let refusal { throw refusal }
            guard case .pass = verdict else { return verdict }
            return restarts > 0
                ? .pass : .fail("all payload arrived before the queue could be restarted")
        }
    }
}

extension ValidationRun {
    /// Receives a stream of large writes on the first socket of a fixture.
    fileprivate func receive(
        on fixture: ReceiveFixture, bytes: UInt64, mayLieElsewhere: Bool = false,
        progress: (UInt64) -> Void
    ) throws(DevmemError) -> (counts: ReceiveCounts, verdict: CaseVerdict) {
        let isIPv6 = peers.prefersIPv6
        var flow = try ReceivedFlow(self, fixture, ipv6: isIPv6, segment: 65536, total: bytes)
        try flow.run(progress: progress)
        let verdict = try flow.finish(mayLieElsewhere: mayLieElsewhere)
        return (flow.counts, verdict)
    }
}
