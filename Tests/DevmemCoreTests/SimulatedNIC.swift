import SystemPackage

@testable import DevmemCore

/// A NIC in memory that does what kernel and driver do, and fails where a test wants it.
final class SimulatedNIC: NICControl {
    let name = "sim0"

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
    /// Rules that it still tells of when asked, though its list has them no more, as gve after a reset.
    var remembered: [UInt32: InstalledRule] = [:]
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
    /// The interface is down.
    var isDown = false
    /// While it is down the table reads as zeros, as with bnxt.
    var forgetsTableWhileDown = false
    /// While it is down no rule can be read, as with fbnic.
    var hidesRulesWhileDown = false
    /// The longest receive ring while split is on, as with bnxt, whose ring stays cut afterwards.
    var splitRingLimit: UInt32?
    /// What the kernel answers to who turns split off while others have memory bound.
    var boundByOthers: DevmemError?
    /// How often the driver was asked to change its rings.
    private(set) var ringSets = 0

    /// Rules that look at the source are refused.
    var refusesSources = false
    /// Rules that leave a field open are refused.
    var needsAllFields = false
    /// A rule at an occupied place replaces what lies there, as with mlx5; otherwise it is refused, as
    /// gve does.
    var replacesRules = false
    /// A rule that matches the same as one that is there is refused, as bnxt does.
    var refusesSameMatch = false
    /// Rules to an RSS context lead to queue 0 instead, as with gve.
    var forgetsContexts = false
    /// What the driver makes of a rule.
    var alteration: ((FlowRule) -> FlowRule)?
    /// What reading a rule is refused with.
    var ruleReadRefusal: Errno?
    /// What deleting a rule is refused with.
    var deletionRefusal: Errno?
    /// What every rule is refused with.
    var ruleRefusal: Errno?
    /// Which of overlapping rules is obeyed.
    var precedence = RulePrecedence.lowestLocation
    /// Locations that are occupied though the list does not have them yet.
    var hidden: Set<UInt32> = []
    /// Whether the driver says how many rules there can be even if there are as many.
    var isFullTold = false
    /// What deleting a rule that is not there is answered with.
    var deletionOfNone = Errno.noSuchFileOrDirectory
    /// What other processes do between looking at a place and inserting there.
    var beforeInserting: (() throws(DevmemError) -> Void)?
    /// What other processes do right after a rule was inserted at a location.
    var afterInserting: ((UInt32) throws(DevmemError) -> Void)?
    /// The operation, counted from 0, that is refused.
    var failing: Int?
    /// The operation at which the process dies: before it for even numbers, after it for odd ones.
    var deadly: Int?
    /// The operation that is claimed to be done and is not.
    var ignored: Int?
    private(set) var operations = 0
    var isDead = false

    static let death = DevmemError(.system, call: "die", errno: .interrupted)
    static let refusal = DevmemError(.system, call: "refuse", errno: .ioError)
    static let invalid = DevmemError(.system, call: "refuse", errno: .invalidArgument)

    /// What it calls its driver, if a test asks for that.
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
        _ = try setRingsWatching(request)
    }

    func setRingsWatching(_ request: RingRequest) throws(DevmemError) -> Bool? {
        if isDead { throw Self.death }
        if request.split == .on, let neededGRO, !neededGRO.isActive { throw Self.refusal }
        // The kernel does not ask the driver for what is set.
        let isChange =
            request.split.map { $0 != (explicitSplit ?? .unknown) } == true
            || request.threshold.map { $0 != threshold } == true
            || request.sizes.contains { sizes[$0.key] != $0.value }
        guard isChange else { return isDeaf ? nil : false }
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
        return isDeaf ? nil : true
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
        // The kernel does not ask the driver for what is wanted already.
        if let state = state(of: feature), state.isWanted == on {
            guard state.isActive == on else { throw Self.refusal }
            return
        }
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
        var table = FlowRuleTable(
            locations: installed.keys.filter { !hidden.contains($0) }.sorted(),
            capacity: capacity, choosesLocation: choosesLocation)
        if isFullTold, let size = capacity, size == installed.count {
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

    /// What another process does with a rule, without a look at what lies there.
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

    /// The rule that a packet of a flow obeys; nil if none matches.
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
        if installed[location] == nil { throw Self.error(deletionOfNone) }
        if let deletionRefusal { throw Self.error(deletionRefusal) }
        try operate { installed[location] = nil }
    }

    /// Its settings as steering sees them.
    func snapshot() throws(DevmemError) -> NICSnapshot {
        NICSnapshot(
            driver: driver, rings: try rings(), channels: try channels(),
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
