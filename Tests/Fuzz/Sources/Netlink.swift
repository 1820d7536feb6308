import CDevmem

@testable import DevmemCore

private let families: (ethtool: UInt16, netdev: UInt16) = (20, 21)

/// The interface that requests and notices are about.
private let interface: UInt32 = 2

/// Datagrams from the kernel: replies, acknowledgements and notices.
func fuzzNetlink(_ input: FuzzInput) {
    var input = input
    let request = input.piece()
    let datagram = input.bytes
    if let frames = try? NetlinkFrame.split(datagram) {
        checkFrames(frames, datagram)
        for frame in frames { read(frame, request: request) }
        checkReplies(datagram, frames)
        checkPolicy(frames)
    }
    _ = NICNotice.links(in: datagram, about: interface)
    _ = NICNotice.settings(
        in: datagram, about: interface, ethtool: families.ethtool, netdev: families.netdev)
    let halves = [Array(datagram.prefix(datagram.count / 2)), datagram]
    guard let seen = try? RingWatch.notifications(in: halves, about: interface) else { return }
    let before = RingSettings(headerSplit: .off, splitThreshold: 0)
    let verdict = RingWatch.verdict(on: RingRequest(split: .on), before: before, seen: seen)
    require(verdict != true || seen.count == 1, "another's notice was taken for ours")
}

/// Messages written again are those that were read.
private func checkFrames(_ frames: [NetlinkFrame], _ datagram: [UInt8]) {
    var bytes: [UInt8] = []
    for frame in frames {
        let length = NetlinkFrame.headerLength + frame.payload.count
        bytes += [UInt8](repeating: 0, count: NetlinkFrame.headerLength)
        let start = bytes.count - NetlinkFrame.headerLength
        bytes.store(UInt32(length), at: start)
        bytes.store(frame.type, at: start + cdm_nlmsghdr_type)
        bytes.store(frame.flags, at: start + cdm_nlmsghdr_flags)
        bytes.store(frame.sequence, at: start + cdm_nlmsghdr_seq)
        bytes += frame.payload + [UInt8](repeating: 0, count: alignedToFour(length) - length)
    }
    require(bytes.count <= alignedToFour(datagram.count), "more than there is")
    require((try? NetlinkFrame.split(bytes)) == frames, "other messages when written again")
}

private func checkReplies(_ datagram: [UInt8], _ frames: [NetlinkFrame]) {
    guard let first = frames.first else { return }
    var replies = NetlinkReplies(sequence: first.sequence)
    guard (try? replies.take(datagram)) != nil else { return }
    require(replies.payloads.count < frames.count, "the end is among the replies")
}

/// Reads one message as everything that it could be.
private func read(_ frame: NetlinkFrame, request: [UInt8]) {
    if let answer = try? Acknowledgement(frame) {
        require(answer.errno >= 0, "errno \(answer.errno)")
        for names in [NetdevNumber.bindNames, RingAttribute.names] {
            let error = answer.error(operation: "ask", request: request, names: names)
            require((error == nil) == (answer.errno == 0), "an errno without an error")
            _ = error.map { "\($0)" }
        }
    }
    let payload = frame.payload
    if let link = try? LinkInfo(payload) { _ = (link.addressText, link.kind) }
    _ = try? Route(payload)
    if let socket = try? UnixSocket(payload) {
        let own = PublishedClaims([socket], user: socket.user)
        require(own.keys.count <= 1, "\(own.keys)")
        _ = own.holders { [] }
    }
    for header in [0, cdm_genlmsghdr_size] {
        guard let attributes = try? NetlinkAttributes(payload.dropFirst(header)) else { continue }
        checkAttributes(attributes, payload.dropFirst(header))
        read(attributes)
    }
}

/// Attributes are parts of the payload, in order and apart.
private func checkAttributes(_ attributes: NetlinkAttributes, _ payload: ArraySlice<UInt8>) {
    var end = payload.startIndex
    for value in attributes.values {
        require(value.payload.startIndex >= end + cdm_nlattr_size, "attributes overlap")
        require(value.payload.endIndex <= payload.endIndex, "an attribute outside")
        end = value.payload.endIndex
        require(value.words.count == value.payload.count / 4, "\(value.words.count) words")
        _ = (value.unsigned, value.string)
        require(value == value && attributes[value.type] != nil, "an attribute is not found")
    }
}

private func read(_ attributes: NetlinkAttributes) {
    if let queue = try? QueueInfo(attributes) {
        _ = queue.holder
        require(
            QueueProvider.binding(queue.id).provides(for: queue) == (queue.dmabufID == queue.id),
            "another queue's binding")
    }
    let rings = RingSettings(attributes)
    require(rings.sizes.count <= RingAttribute.sizes.count, "\(rings.sizes)")
    if let statistics = QueueStatistics(attributes) {
        require(statistics.counters.count <= attributes.values.count, "counters from nowhere")
    }
    _ = PagePoolInfo(attributes)
    _ = NAPIInfo(attributes)
    let channels = ChannelCounts(attributes)
    require(channels.receiveQueues >= Int(channels.rx), "\(channels)")
    let context = RSSContext(attributes)
    checkTable(context.indirection)
    _ = try? XDPProgram(attributes)
    _ = try? ControlNumber.commands(attributes)
    for value in attributes.values.prefix(4) { _ = try? featureNames(value) }
}

/// Tables of any queues are planned with, printed and restored.
private func checkTable(_ table: [UInt32]) {
    guard !table.isEmpty else { return }
    let half = Set(table.prefix(table.count / 2))
    let other = SteeringPlan.indirection(table, without: half, queueCount: 8)
    require(other.count == table.count, "a table of another size")
    require(half.isDisjoint(with: other) || half.isSuperset(of: 0..<8), "a queue remains")
    let even = evenIndirection(slots: table.count, over: Set(table).sorted())
    require(even.count == table.count && Set(even).isSubset(of: table), "queues from nowhere")
    _ = EthtoolCommands.indirectionArguments(table)
    _ = TableRestoration(
        before: table, after: even, isDefault: false, now: table.reversed(), taken: half.sorted(),
        queueCount: 8)
}

private func checkPolicy(_ frames: [NetlinkFrame]) {
    let replies = frames.compactMap { frame in
        try? NetlinkAttributes(frame.payload.dropFirst(cdm_genlmsghdr_size))
    }
    guard let policy = try? FamilyPolicy.read(replies) else { return }
    require(
        Set(policy.attributes.keys) == Set(policy.nested.keys), "a command without its attributes")
}

/// What drivers report of flow rules and of themselves.
func fuzzRules(_ input: FuzzInput) {
    var input = input
    let context = input.number(UInt32.self)
    let rules = (0..<4).compactMap { _ in
        let bytes = input.take(FlowSpec.size)
        return InstalledRule(
            specification: bytes + [UInt8](repeating: 0, count: FlowSpec.size - bytes.count),
            context: context)
    }
    for rule in rules {
        check(rule)
        for other in rules { check(rule, other) }
    }
    if let info = DriverInfo(input.take(DriverInfo.request.count)) {
        _ = RulePrecedence(driver: info.driver)
    }
}

private func check(_ rule: InstalledRule) {
    let text = rule.text
    require(text.hasPrefix("flow-type ") && !text.contains("\n"), text)
    let match = rule.flowMatch
    require(match.overlaps(match), "a match that does not overlap itself")
    require(!match.isExact || match.contains(match), "a match that does not contain itself")
    _ = FlowSpec.fieldCount(rule.specification)
    guard let read = rule.rule else { return }
    require(rule.isSame(as: read), "\(read) is not \(text)")
    require(rule.mayDerive(from: read) && !rule.contradicts(read), "\(read) contradicts itself")
    require(!read.description.isEmpty, "no description")
    guard let bytes = try? FlowSpec.encode(read, location: rule.location),
        let again = InstalledRule(specification: bytes, context: rule.context ?? 0)
    else { fatalError("\(read) cannot be written") }
    require(again.rule == read, "\(read) reads as \(again.text)")
}

private func check(_ rule: InstalledRule, _ other: InstalledRule) {
    let (one, two) = (rule.flowMatch, other.flowMatch)
    require(one.overlaps(two) == two.overlaps(one), "an overlap in one direction")
    require(!one.contains(two) || one.overlaps(two), "what is contained does not overlap")
    guard let wanted = rule.rule else { return }
    let snapshot = NICSnapshot(
        rings: RingSettings(headerSplit: .on, splitThreshold: 0),
        receiveQueues: (0..<4).map { QueueInfo(id: $0, type: .rx) },
        contexts: [RSSContext(id: 1, indirection: [0, .max])],
        ntuple: FeatureState(isActive: true, isChangeable: true),
        ruleTable: FlowRuleTable(
            locations: [other.location], capacity: 8, choosesLocation: false), rules: [other])
    for queues: Set<UInt32> in [[], [wanted.target.queue ?? 0]] {
        for conflict in RuleConflict.all(
            with: wanted, at: rule.location, in: snapshot, queues: queues)
        {
            require(!conflict.isSame || conflict.coversWholeFlow, "the same but only a part")
            require(conflict.text.contains("\(other.location)"), conflict.text)
        }
    }
}

extension RuleTarget {
    fileprivate var queue: UInt32? { if case .queue(let queue) = self { queue } else { nil } }
}
