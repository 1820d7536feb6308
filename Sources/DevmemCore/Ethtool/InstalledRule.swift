/// A flow rule of any type as a NIC reports it.
package struct InstalledRule: Equatable, Sendable {
    /// Its location in the NIC's table.
    package var location: UInt32
    /// The kernel's `struct ethtool_rx_flow_spec` of linux/ethtool.h, byte for byte.
    package let specification: [UInt8]
    /// The RSS context that it directs to, if any.
    package var context: UInt32?

    /// Creates a rule from the kernel's report; nil if the size is wrong.
    ///
    /// - Parameters:
    ///   - specification: the structure's bytes.
    ///   - number: the RSS context reported with it; used if the type's flag says so.
    package init?(specification: [UInt8], context number: UInt32) {
        guard specification.count == FlowSpec.size else { return nil }
        self.specification = specification
        location = specification.word(at: FlowSpec.location)
        context =
            specification.word(at: FlowSpec.type) & FlowSpec.rssFlag == 0 ? nil : number
    }

    /// The queue that it directs to; nil if it drops packets or uses a context.
    package var queue: UInt32? {
        guard context == nil else { return nil }
        // The upper 32 bits hold the virtual function that owns the queue.
        let cookie = specification.longWord(at: FlowSpec.ringCookie)
        return UInt32(exactly: cookie)
    }

    /// The offset added to the context's choice of queue; nil without a context.
    var queueOffset: UInt32? {
        guard context != nil else { return nil }
        return UInt32(exactly: specification.longWord(at: FlowSpec.ringCookie))
    }

    /// Returns whether it matches exactly the packets that a rule matches, whatever the targets.
    func matchesSame(as rule: FlowRule) -> Bool {
        guard let wanted = try? FlowSpec.encode(rule.aimed(at: .queue(0)), location: 0) else {
            return false
        }
        let type = specification.word(at: FlowSpec.type) & ~FlowSpec.rssFlag
        return type == wanted.word(at: FlowSpec.type) && masked == InstalledRule.masked(wanted)
    }

    /// Returns whether it is equal to a rule, in match and target.
    func isSame(as rule: FlowRule) -> Bool {
        matchesSame(as: rule) && hasTarget(of: rule)
    }

    private func hasTarget(of rule: FlowRule) -> Bool {
        switch rule.target {
        case .queue(let wanted): queue == wanted
        case .context(let wanted): context == wanted
        case .newContext: false
        }
    }

    /// Returns whether it equals another installed rule except for the location.
    func equalsIgnoringLocation(_ other: InstalledRule) -> Bool {
        var bytes = specification
        bytes.replaceSubrange(
            FlowSpec.location..<FlowSpec.location + 4,
            with: other.specification[FlowSpec.location..<FlowSpec.location + 4])
        return context == other.context && bytes == other.specification
    }

    /// Returns whether a driver may have made it from a rule: it has the same match or the same
    /// target, which belongs to this process while it steers.
    func mayDerive(from rule: FlowRule) -> Bool {
        hasTarget(of: rule) || matchesSame(as: rule)
    }

    /// Returns whether no packet matches both it and a rule. Pure.
    func contradicts(_ rule: FlowRule) -> Bool {
        guard let wanted = try? FlowSpec.encode(rule.aimed(at: .queue(0)), location: 0) else {
            return true
        }
        let type = specification.word(at: FlowSpec.type) & ~FlowSpec.rssFlag
        guard type == wanted.word(at: FlowSpec.type) else { return true }
        return (0..<FlowSpec.matchLength).contains { offset in
            let both =
                specification[FlowSpec.mask + offset] & wanted[FlowSpec.mask + offset]
            return (specification[FlowSpec.value + offset] ^ wanted[FlowSpec.value + offset]) & both
                != 0
        }
    }

    /// The mask, then the masked value: other bits of the value have no meaning.
    private var masked: [UInt8] { Self.masked(specification) }

    private static func masked(_ bytes: [UInt8]) -> [UInt8] {
        let mask = bytes[FlowSpec.mask..<FlowSpec.mask + FlowSpec.matchLength]
        let value = bytes[FlowSpec.value..<FlowSpec.value + FlowSpec.matchLength]
        return mask + zip(mask, value).map { $0 & $1 }
    }

    /// The rule, if it is for TCP and each field is matched completely or not at all.
    package var rule: FlowRule? {
        let type = specification.word(at: FlowSpec.type) & ~FlowSpec.rssFlag
        guard type == FlowSpec.tcp4 || type == FlowSpec.tcp6 else { return nil }
        let target: RuleTarget
        if let context {
            target = .context(context)
        } else if let queue {
            target = .queue(queue)
        } else {
            return nil
        }
        let isIPv6 = type == FlowSpec.tcp6
        let fields = FlowSpec.Fields(isIPv6: isIPv6)
        let rule = FlowRule(
            isIPv6: isIPv6, source: field(at: fields.source, fields.addressLength),
            destination: field(at: fields.destination, fields.addressLength),
            sourcePort: port(at: fields.sourcePort),
            destinationPort: port(at: fields.destinationPort), target: target)
        return matchesSame(as: rule) ? rule : nil
    }

    private func field(at offset: Int, _ length: Int) -> [UInt8]? {
        let mask = specification[FlowSpec.mask + offset..<FlowSpec.mask + offset + length]
        guard mask.allSatisfy({ $0 == 0xff }) else { return nil }
        let start = FlowSpec.value + offset
        return Array(specification[start..<start + length])
    }

    private func port(at offset: Int) -> UInt16? {
        field(at: offset, 2).map { UInt16($0[0]) << 8 | UInt16($0[1]) }
    }

    /// The rule in ethtool(8) syntax.
    package var text: String { FlowRuleText(self).text }
}

extension [UInt8] {
    func longWord(at offset: Int) -> UInt64 {
        withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    }
}
