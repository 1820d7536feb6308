import DevmemCore
import Logging
import SystemPackage

/// One run of the validation: what its cases work on, and what they leave to each other.
final class ValidationRun {
    let interface: NetworkInterface
    let facts: ValidationFacts
    let peers: ValidationPeers
    let stop: SharedStopSignal
    let logger: Logger
    /// Bindings for receiving that were made; their memory must have come back at the end.
    private(set) var usedBindings: [UInt32] = []
    private var stage: ReceiveFixture?
    /// Why stages could not be made, so that it is not tried again and again.
    private var refusals: [ReceiveFixture.Kind: DevmemError] = [:]

    init(
        _ facts: ValidationFacts, _ peers: ValidationPeers, stop: SharedStopSignal, logger: Logger
    ) {
        interface = facts.interface
        self.facts = facts
        self.peers = peers
        self.stop = stop
        self.logger = logger
    }

    /// The stage of a kind, made if the one at hand is another.
    func stage(_ kind: ReceiveFixture.Kind = ReceiveFixture.Kind()) throws(DevmemError)
        -> ReceiveFixture
    {
        if let stage, stage.kind == kind { return stage }
        try releaseStage()
        if let refusal = refusals[kind] { throw refusal }
        // Flows go round the queues, those that are to stay empty among them.
        let addresses = kind.spareQueues > 0 ? Array(peers.local.prefix(1)) : peers.local
        do throws(DevmemError) {
            let made = try ReceiveFixture(
                kind, on: interface, at: kind.listeners > 0 ? addresses : [],
                answeredFrom: peers.echo, logger: logger)
            usedBindings.append(made.bound.id)
            stage = made
            return made
        } catch {
            refusals[kind] = error
            throw error
        }
    }

    /// Takes back what the stage at hand has changed.
    func releaseStage() throws(DevmemError) {
        let old = stage
        stage = nil
        try old?.release()
    }

    /// Runs one case.
    func run(_ one: ValidationCase) -> CaseVerdict {
        for need in one.needs {
            if let reason = facts.reason(against: need, peers) { return .skip(reason) }
        }
        do throws(DevmemError) {
            return try one.body(self)
        } catch {
            return CaseVerdict(error)
        }
    }
}
