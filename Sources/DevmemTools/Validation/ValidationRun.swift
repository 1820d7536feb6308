import DevmemCore
import Logging
import SystemPackage

/// A run of the validation, with the state that its cases share.
final class ValidationRun {
    let interface: NetworkInterface
    let facts: ValidationFacts
    /// Where the memory of the cases comes from.
    let provider: MemoryProvider
    let peers: ValidationPeers
    let stop: SharedStopSignal
    let logger: Logger
    /// The receive bindings that were created; all their memory must have returned at the end.
    private(set) var usedBindings: [UInt32] = []
    private var fixture: ReceiveFixture?
    /// Why fixtures could not be created, so that each failure is not repeated.
    private var refusals: [ReceiveFixture.Kind: DevmemError] = [:]

    init(
        _ facts: ValidationFacts, _ peers: ValidationPeers, provider: MemoryProvider,
        stop: SharedStopSignal, logger: Logger
    ) {
        self.provider = provider
        interface = facts.interface
        self.facts = facts
        self.peers = peers
        self.stop = stop
        self.logger = logger
    }

    /// Returns a fixture of a kind. The current one is replaced if it differs.
    func fixture(_ kind: ReceiveFixture.Kind = ReceiveFixture.Kind()) throws(DevmemError)
        -> ReceiveFixture
    {
        if let fixture, fixture.kind == kind { return fixture }
        try releaseFixture()
        if let refusal = refusals[kind] { throw refusal }
        // Flows are assigned to all queues in turn. With a single address none goes to an unbound
        // queue.
        let addresses = kind.unboundQueues > 0 ? Array(peers.local.prefix(1)) : peers.local
        do throws(DevmemError) {
            let made = try ReceiveFixture(
                kind, on: interface, from: provider, at: kind.listeners > 0 ? addresses : [],
                answeredFrom: peers.echo, logger: logger)
            usedBindings.append(made.bound.id)
            fixture = made
            return made
        } catch {
            refusals[kind] = error
            throw error
        }
    }

    /// Allocates memory of a size in bytes, rounded up to whole pages of the provider.
    func makeMemory(_ size: UInt64 = smallMemory) throws(DevmemError) -> DmabufMemory {
        try DmabufMemory(atLeast: size, from: provider, near: interface)
    }

    /// Releases the current fixture and restores the NIC.
    func releaseFixture() throws(DevmemError) {
        let old = fixture
        fixture = nil
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
            let verdict = CaseVerdict(error)
            guard let lack = facts.lackOfReceive, usedBindings.isEmpty else { return verdict }
            return verdict.excused(by: lack, needs: one.needs)
        }
    }
}
