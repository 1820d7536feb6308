import SystemPackage

@testable import DevmemCore

/// A NIC in memory that behaves like kernel and driver, and fails where a test wants it to.
final class SimulatedNIC: NICControl {
    let name = "sim0"

    /// The state that the driver reports without a user's setting; drivers differ.
    var defaultSplit: HeaderSplit
    var explicitSplit: HeaderSplit?
    var threshold: UInt32?
    var sizes: [String: UInt32]
    var channelCount: Int
    var main: RSSContext?
    var others: [UInt32: RSSContext]
    var feature: FeatureState?
    /// Hardware GRO, if header split depends on it as with mlx5.
    var neededGRO: FeatureState?
    var installed: [UInt32: InstalledRule]
    /// Rules that can still be read although they are no longer listed, as with gve after a reset.
    var remembered: [UInt32: InstalledRule] = [:]
    var capacity: UInt32?
    var choosesLocation: Bool
    /// The kernel's mark that a user set the table; a reset of the table clears it.
    var isTableConfigured: Bool

    /// Requesting "unknown" does not change the driver's state, as with gve.
    var keepsSplit = false
    /// Header split cannot be turned off, as with bnxt and fbnic.
    var refusesOff = false
    /// It cannot be determined who set header split: neither by notifications nor by binding.
    var hidesSettingOwner = false
    var canProbe = true
    /// The interface is down.
    var isDown = false
    /// The table reads as zeros while the interface is down, as with bnxt.
    var forgetsTableWhileDown = false
    /// No rule can be read while the interface is down, as with fbnic.
    var hidesRulesWhileDown = false
    /// The largest receive ring while header split is on; the ring stays reduced afterwards, as
    /// with bnxt.
    var splitRingLimit: UInt32?
    /// The error for turning a feature on.
    var featureRefusal: DevmemError?
    /// The error for turning header split off while others have memory bound.
    var boundByOthers: DevmemError?
    /// How often the rings were set.
    private(set) var ringSets = 0

    /// Rules with a source are refused.
    var refusesSources = false
    /// Rules with an open field are refused.
    var needsAllFields = false
    /// A rule at an occupied location replaces the present one, as with mlx5; otherwise it is
    /// refused, as with gve.
    var replacesRules = false
    /// A rule with the same match as an existing one is refused, as with bnxt.
    var refusesSameMatch = false
    /// Rules for an RSS context direct to queue 0 instead, as with gve.
    var forgetsContexts = false
    /// How the driver alters a rule.
    var alteration: ((FlowRule) -> FlowRule)?
    /// The error for reading a rule.
    var ruleReadRefusal: Errno?
    /// The error for deleting a rule.
    var deletionRefusal: Errno?
    /// The error for every new rule.
    var ruleRefusal: Errno?
    /// Which of overlapping rules applies.
    var precedence = RulePrecedence.lowestLocation
    /// Occupied locations that are not listed yet.
    var hidden: Set<UInt32> = []
    /// Whether the driver reports its table size even when the table is full.
    var reportsSizeWhenFull = false
    /// The error for deleting a rule that does not exist.
    var missingRuleError = Errno.noSuchFileOrDirectory
    /// Runs between the check of a location and the insertion, in place of other processes.
    var beforeInserting: (() throws(DevmemError) -> Void)?
    /// Runs after a rule was inserted at a location, in place of other processes.
    var afterInserting: ((UInt32) throws(DevmemError) -> Void)?
    /// The number of the operation that is refused, from 0.
    var failing: Int?
    /// The number of the operation at which the process dies: before it if even, after it if odd.
    var deadly: Int?
    /// The number of the operation that reports success without effect.
    var ignored: Int?
    private(set) var operations = 0
    var isDead = false

    static let death = DevmemError(.system, call: "die", errno: .interrupted)
    static let refusal = DevmemError(.system, call: "refuse", errno: .ioError)
    static let invalid = DevmemError(.system, call: "refuse", errno: .invalidArgument)

    /// The name of its driver, if a test needs one.
    var driver: String?

    init(_ snapshot: NICSnapshot, defaultSplit: HeaderSplit, isSplitExplicit: Bool) {
        self.defaultSplit = defaultSplit
        driver = snapshot.driver
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

    /// Starts another process after the first has died.
    func revive() {
        isDead = false
        deadly = nil
        failing = nil
        ignored = nil
    }

    /// Performs one change of the NIC.
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

    /// Passes a point between operations, such as writing the journal.
    func live() throws(DevmemError) {
        try operate {}
    }

    func isUp() throws(DevmemError) -> Bool {
        if isDead { throw Self.death }
        return !isDown
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
        _ = try setRingsDetectingChange(request)
    }

    func setRingsDetectingChange(_ request: RingRequest) throws(DevmemError) -> Bool? {
        if isDead { throw Self.death }
        if request.split == .on, let neededGRO, !neededGRO.isActive { throw Self.refusal }
        // The kernel does not ask the driver for the present setting.
        let isChange =
            request.split.map { $0 != (explicitSplit ?? .unknown) } == true
            || request.threshold.map { $0 != threshold } == true
            || request.sizes.contains { sizes[$0.key] != $0.value }
        guard isChange else { return hidesSettingOwner ? nil : false }
        if let boundByOthers, request.split.map({ $0 != .on }) == true { throw boundByOthers }
        if request.split == .off, refusesOff { throw Self.invalid }
        ringSets += 1
        try operate {
            if let split = request.split {
                if split == .unknown, keepsSplit { defaultSplit = explicitSplit ?? defaultSplit }
                if split == .off, keepsSplit { defaultSplit = .off }
                explicitSplit = split == .unknown ? nil : split
            }
            if let threshold = request.threshold { self.threshold = threshold }
            for (ring, size) in request.sizes { sizes[ring] = size }
            if let splitRingLimit, explicitSplit == .on {
                sizes["rx"] = min(sizes["rx"] ?? 0, splitRingLimit)
            }
        }
        return hidesSettingOwner ? nil : true
    }

    func isSplitUserSet(probing queue: UInt32) -> Bool? {
        isDead || !canProbe ? nil : explicitSplit == .on
    }

    func contexts() throws(DevmemError) -> [RSSContext] {
        if isDead { throw Self.death }
        if isDown, forgetsTableWhileDown, let main {
            let zeros = [UInt32](repeating: 0, count: main.indirection.count)
            return [RSSContext(id: 0, indirection: zeros, key: main.key)]
        }
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
        if isDead { throw Self.death }
        if on, let featureRefusal { throw featureRefusal }
        // The kernel does not ask the driver for what is already wanted.
        if let state = state(of: feature), state.isWanted == on {
            guard state.isActive == on else { throw Self.refusal }
            return
        }
        // mlx5 keeps it on while header split is on.
        if feature == .hardwareGRO && !on && explicitSplit == .on {
            change(feature) { $0?.isWanted = on }
            throw Self.refusal
        }
        do throws(DevmemError) {
            try operate { change(feature) { $0?.isActive = on } }
            change(feature) { $0?.isWanted = on }
        } catch {
            // The kernel remembers the request.
            if error == Self.refusal { change(feature) { $0?.isWanted = on } }
            throw error
        }
    }

    func ruleTable() throws(DevmemError) -> FlowRuleTable? {
        if isDead { throw Self.death }
        var table = FlowRuleTable(
            locations: installed.keys.filter { !hidden.contains($0) }.sorted(),
            capacity: capacity, choosesLocation: choosesLocation)
        if reportsSizeWhenFull, let size = capacity, size == installed.count {
            table.capacity = nil
            table.isFull = true
        }
        return table
    }

    func rule(at location: UInt32) throws(DevmemError) -> InstalledRule? {
        if isDead { throw Self.death }
        if isDown && hidesRulesWhileDown { return nil }
        if let ruleReadRefusal, installed[location] != nil { throw Self.error(ruleReadRefusal) }
        return installed[location] ?? remembered[location]
    }

    func insert(_ rule: FlowRule, at place: UInt32) throws(DevmemError) -> UInt32 {
        try beforeInserting?()
        if let refused = refusal(of: rule) { throw refused }
        var location = place
        if location == .max {
            guard let free = freePlace else { throw Self.error(.noSpace) }
            location = free
        } else if location >= capacity ?? 1000 || !replacesRules && installed[location] != nil {
            throw Self.error(.invalidArgument)
        }
        try operate { () throws(DevmemError) in
            try put(alteration?(rule) ?? rule, at: location)
        }
        try afterInserting?(location)
        return location
    }

    /// Writes a rule as another process does, without checking the location.
    func put(_ rule: FlowRule, at location: UInt32) throws(DevmemError) {
        var kept = rule
        if forgetsContexts, case .context = rule.target { kept = rule.aimed(at: .queue(0)) }
        let context: UInt32 = if case .context(let id) = kept.target { id } else { 0 }
        installed[location] = InstalledRule(
            specification: try FlowSpec.encode(kept, location: location), context: context)
    }

    /// Some drivers fill their tables from the end.
    private var freePlace: UInt32? {
        (0..<(capacity ?? 1000)).reversed().first { installed[$0] == nil }
    }

    private func refusal(of rule: FlowRule) -> DevmemError? {
        if let ruleRefusal { return Self.error(ruleRefusal) }
        if refusesSources && (rule.source != nil || rule.sourcePort != nil)
            || needsAllFields && !rule.missingFields.isEmpty
        {
            return Self.error(.notSupportedOnSocket)
        }
        if refusesSameMatch, installed.values.contains(where: { $0.matchesSame(as: rule) }) {
            return Self.error(.fileExists)
        }
        return nil
    }

    private static func error(_ errno: Errno) -> DevmemError {
        DevmemError(.system, .init(.addFlowRule, "add a flow rule to sim0"), errno: errno)
    }

    /// Returns the rule that applies to a packet of a flow; nil if none matches.
    func rule(obeyedBy flow: FlowRule) -> InstalledRule? {
        guard let packet = flow.flowMatch else { return nil }
        let matching = installed.values.filter { $0.flowMatch.contains(packet) }
        return switch precedence {
        case .lowestLocation: matching.min { $0.location < $1.location }
        case .mostFields:
            matching.max {
                FlowSpec.fieldCount($0.specification) ?? 0
                    < FlowSpec.fieldCount($1.specification) ?? 0
            }
        case .unknown: matching.randomElement()
        }
    }

    func deleteRule(at location: UInt32) throws(DevmemError) {
        if installed[location] == nil { throw Self.error(missingRuleError) }
        if let deletionRefusal { throw Self.error(deletionRefusal) }
        try operate { installed[location] = nil }
    }

    /// Returns its settings as steering sees them.
    func snapshot() throws(DevmemError) -> NICSnapshot {
        NICSnapshot(
            driver: driver, rings: try rings(), channels: try channels(),
            receiveQueues: (0..<UInt32(channelCount)).map { QueueInfo(id: $0, type: .rx) },
            contexts: try contexts(), ntuple: feature, neededGRO: neededGRO,
            ruleTable: feature == nil ? nil : try ruleTable(),
            rules: installed.values.sorted { $0.location < $1.location })
    }
}

/// A simple seeded generator, so that a failing case can be repeated.
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
