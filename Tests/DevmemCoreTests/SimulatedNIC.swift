import SystemPackage

@testable import DevmemCore

/// A NIC in memory that does what kernel and driver do, and fails where a test wants it.
final class SimulatedNIC: NICControl {
    let name = "sim0"
    var driver: String?

    /// What a driver without a user's wish reports; drivers differ.
    var defaultSplit: HeaderSplit
    var explicitSplit: HeaderSplit?
    var threshold: UInt32?
    var sizes: [String: UInt32]
    var channelCount: Int
    var main: RSSContext?
    var others: [UInt32: RSSContext]
    var feature: FeatureState?
    /// Hardware GRO, if header split needs it here as it does with mlx5.
    var neededGRO: FeatureState?
    var installed: [UInt32: InstalledRule]
    var capacity: UInt32?
    var choosesLocation: Bool
    /// The kernel's own mark; a reset clears it.
    var isTableConfigured: Bool

    /// "Unknown" changes nothing of what the driver does, as with gve.
    var keepsSplit = false
    /// Split cannot be turned off, as with bnxt and fbnic.
    var refusesOff = false
    /// Whose setting it is cannot be learnt: neither by notifications nor by a binding.
    var isDeaf = false
    var canProbe = true
    /// How often the driver was asked to change its rings.
    private(set) var ringSets = 0

    /// Rules that look at the source are refused.
    var refusesSources = false
    /// The operation, counted from 0, that is refused.
    var failing: Int?
    /// The operation at which the process dies: before it for even numbers, after it for odd ones.
    var deadly: Int?
    /// The operation that is claimed to be done and is not.
    var ignored: Int?
    private(set) var operations = 0
    private(set) var isDead = false

    static let death = DevmemError(.system, call: "die", errno: .interrupted)
    static let refusal = DevmemError(.system, call: "refuse", errno: .ioError)
    static let invalid = DevmemError(.system, call: "refuse", errno: .invalidArgument)

    init(_ snapshot: NICSnapshot, defaultSplit: HeaderSplit, isSplitExplicit: Bool) {
        self.defaultSplit = defaultSplit
        explicitSplit = isSplitExplicit ? snapshot.rings.headerSplit : nil
        threshold = snapshot.rings.splitThreshold
        sizes = snapshot.rings.sizes
        channelCount = snapshot.receiveQueues.count
        main = snapshot.contexts.first { $0.id == 0 }
        others = [:]
        for context in snapshot.contexts where context.id != 0 { others[context.id] = context }
        feature = snapshot.ntuple
        neededGRO = snapshot.neededGRO
        installed = [:]
        for rule in snapshot.rules { installed[rule.location] = rule }
        capacity = snapshot.ruleTable?.capacity
        choosesLocation = snapshot.ruleTable?.choosesLocation ?? true
        isTableConfigured = false
    }

    /// Another process, after the first has died.
    func revive() {
        isDead = false
        deadly = nil
        failing = nil
        ignored = nil
    }

    /// One change of the NIC.
    private func operate(_ body: () throws(DevmemError) -> Void) throws(DevmemError) {
        let number = operations
        operations += 1
        if isDead || deadly == 2 * number {
            isDead = true
            throw Self.death
        }
        if failing == number { throw Self.refusal }
        if ignored != number { try body() }
        if deadly == 2 * number + 1 {
            isDead = true
            throw Self.death
        }
    }

    /// A moment between operations, such as writing the journal.
    func live() throws(DevmemError) {
        try operate {}
    }

    func rings() throws(DevmemError) -> RingSettings {
        if isDead { throw Self.death }
        return RingSettings(
            headerSplit: explicitSplit ?? defaultSplit, splitThreshold: threshold, sizes: sizes)
    }

    func channels() throws(DevmemError) -> ChannelCounts? {
        ChannelCounts(combined: UInt32(channelCount))
    }

    func setRings(_ request: RingRequest) throws(DevmemError) {
        _ = try setRingsWatching(request)
    }

    func setRingsWatching(_ request: RingRequest) throws(DevmemError) -> Bool? {
        if isDead { throw Self.death }
        if request.split == .on, let neededGRO, !neededGRO.isActive { throw Self.refusal }
        // The kernel does not ask the driver for what is set.
        let isChange =
            request.split.map { $0 != (explicitSplit ?? .unknown) } == true
            || request.threshold.map { $0 != threshold } == true
        guard isChange else { return isDeaf ? nil : false }
        if request.split == .off, refusesOff { throw Self.invalid }
        ringSets += 1
        try operate {
            if let split = request.split {
                if split == .unknown, keepsSplit { defaultSplit = explicitSplit ?? defaultSplit }
                if split == .off, keepsSplit { defaultSplit = .off }
                explicitSplit = split == .unknown ? nil : split
            }
            if let threshold = request.threshold { self.threshold = threshold }
        }
        return isDeaf ? nil : true
    }

    func isSplitUserSet(probing queue: UInt32) -> Bool? {
        isDead || !canProbe ? nil : explicitSplit == .on
    }

    func contexts() throws(DevmemError) -> [RSSContext] {
        if isDead { throw Self.death }
        return (main.map { [$0] } ?? []) + others.values.sorted { $0.id < $1.id }
    }

    func setIndirection(_ table: [UInt32]) throws(DevmemError) {
        try operate {
            let slots = main?.indirection.count ?? 0
            isTableConfigured = !table.isEmpty
            main?.indirection =
                table.isEmpty ? defaultIndirection(slots: slots, queues: channelCount) : table
        }
    }

    func createContext(_ table: [UInt32]) throws(DevmemError) -> UInt32 {
        var id: UInt32 = 1
        while others[id] != nil { id += 1 }
        try operate {
            others[id] = RSSContext(id: id, indirection: table, key: main?.key ?? [])
        }
        return id
    }

    func deleteContext(_ id: UInt32) throws(DevmemError) {
        try operate { others[id] = nil }
    }

    func feature(_ feature: SteeringFeature) throws(DevmemError) -> FeatureState {
        if isDead { throw Self.death }
        return state(of: feature) ?? FeatureState(isActive: false, isChangeable: false)
    }

    private func state(of feature: SteeringFeature) -> FeatureState? {
        switch feature {
        case .flowRules: self.feature
        case .hardwareGRO: neededGRO
        }
    }

    private func change(_ feature: SteeringFeature, _ body: (inout FeatureState?) -> Void) {
        switch feature {
        case .flowRules: body(&self.feature)
        case .hardwareGRO: body(&neededGRO)
        }
    }

    func setFeature(_ feature: SteeringFeature, _ on: Bool) throws(DevmemError) {
        // While split is on, mlx5 keeps it on.
        if feature == .hardwareGRO && !on && explicitSplit == .on {
            change(feature) { $0?.isWanted = on }
            throw Self.refusal
        }
        do throws(DevmemError) {
            try operate { change(feature) { $0?.isActive = on } }
            change(feature) { $0?.isWanted = on }
        } catch {
            // The kernel keeps the wish.
            if error == Self.refusal { change(feature) { $0?.isWanted = on } }
            throw error
        }
    }

    func ruleTable() throws(DevmemError) -> FlowRuleTable? {
        if isDead { throw Self.death }
        return FlowRuleTable(
            locations: installed.keys.sorted(), capacity: capacity,
            choosesLocation: choosesLocation)
    }

    func rule(at location: UInt32) throws(DevmemError) -> InstalledRule? {
        if isDead { throw Self.death }
        return installed[location]
    }

    func insert(_ rule: FlowRule, at place: UInt32) throws(DevmemError) -> UInt32 {
        if refusesSources && (rule.source != nil || rule.sourcePort != nil) {
            throw Self.refusal
        }
        var location = place
        if location == .max {
            // Some drivers fill their tables from the end.
            location = (capacity ?? 1000) - 1
            while installed[location] != nil { location -= 1 }
        }
        try operate { () throws(DevmemError) in
            let context: UInt32 = if case .context(let id) = rule.target { id } else { 0 }
            installed[location] = InstalledRule(
                specification: try FlowSpec.encode(rule, location: location), context: context)
        }
        return location
    }

    func deleteRule(at location: UInt32) throws(DevmemError) {
        try operate { installed[location] = nil }
    }

    /// Its settings as steering sees them.
    func snapshot() throws(DevmemError) -> NICSnapshot {
        NICSnapshot(
            rings: try rings(), channels: try channels(),
            receiveQueues: (0..<UInt32(channelCount)).map { QueueInfo(id: $0, type: .rx) },
            contexts: try contexts(), ntuple: feature, neededGRO: neededGRO,
            ruleTable: feature == nil ? nil : try ruleTable(),
            rules: installed.values.sorted { $0.location < $1.location })
    }
}

/// A small generator, so that a failing case can be run again.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state &* 0x2545_f491_4f6c_dd1d
    }
}
