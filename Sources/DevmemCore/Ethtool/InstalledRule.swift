/// A flow rule as a NIC reports it, of whatever type.
package struct InstalledRule: Equatable, Sendable {
    /// Its place in the NIC's table.
    package var location: UInt32
    /// `struct ethtool_rx_flow_spec` of the kernel's linux/ethtool.h, byte for byte.
    package let specification: [UInt8]
    /// The RSS context that it leads to, if it leads to one.
    package var context: UInt32?

    /// Takes over what the kernel reports; nil if it is not of that structure's size.
    ///
    /// - Parameters:
    ///   - specification: the structure's bytes.
    ///   - number: the RSS context that stands beside it, used if the rule's type asks for one.
    package init?(specification: [UInt8], context number: UInt32) {
        guard specification.count == FlowSpec.size else { return nil }
        self.specification = specification
        location = specification.word(at: FlowSpec.location)
        context =
            specification.word(at: FlowSpec.type) & FlowSpec.rssFlag == 0 ? nil : number
    }

    /// The queue that it leads to; nil if it drops packets or leaves the choice to a context.
    package var queue: UInt32? {
        guard context == nil else { return nil }
        // Above the queue's 32 bits stands the virtual function whose queue it is.
        let cookie = specification.longWord(at: FlowSpec.ringCookie)
        return UInt32(exactly: cookie)
    }

    /// What is added to the queue that its context chooses; nil if it leads to no context's queue.
    var queueOffset: UInt32? {
        guard context != nil else { return nil }
        return UInt32(exactly: specification.longWord(at: FlowSpec.ringCookie))
    }

    /// Whether it matches exactly what a rule matches, wherever it leads.
    func matchesSame(as rule: FlowRule) -> Bool {
        guard let wanted = try? FlowSpec.encode(rule.aimed(at: .queue(0)), location: 0) else {
            return false
        }
        let type = specification.word(at: FlowSpec.type) & ~FlowSpec.rssFlag
        return type == wanted.word(at: FlowSpec.type) && masked == InstalledRule.masked(wanted)
    }

    /// Whether it is a rule: matches the same and leads to the same place.
    func isSame(as rule: FlowRule) -> Bool {
        guard matchesSame(as: rule) else { return false }
        return switch rule.target {
        case .queue(let wanted): queue == wanted
        case .context(let wanted): context == wanted
        case .newContext: false
        }
    }

    /// Whether it is the same as another but for its place.
    func isAlike(_ other: InstalledRule) -> Bool {
        var bytes = specification
        bytes.replaceSubrange(
            FlowSpec.location..<FlowSpec.location + 4,
            with: other.specification[FlowSpec.location..<FlowSpec.location + 4])
        return context == other.context && bytes == other.specification
    }

    /// Whether it may be what a driver made of a rule: it matches the same, or leads to the same
    /// place, which is this process's as long as it steers.
    func isVariant(of rule: FlowRule) -> Bool {
        let leadsThere =
            switch rule.target {
            case .queue(let wanted): queue == wanted
            case .context(let wanted): context == wanted
            case .newContext: false
            }
        return leadsThere || matchesSame(as: rule)
    }

    /// Whether no packet matches both it and a rule. Pure.
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

    /// The mask, then the value where the mask is set: what stands elsewhere has no meaning.
    private var masked: [UInt8] { Self.masked(specification) }

    private static func masked(_ bytes: [UInt8]) -> [UInt8] {
        let mask = bytes[FlowSpec.mask..<FlowSpec.mask + FlowSpec.matchLength]
        let value = bytes[FlowSpec.value..<FlowSpec.value + FlowSpec.matchLength]
        return mask + zip(mask, value).map { $0 & $1 }
    }

    /// The rule, if it is one of TCP whose fields match wholly or not at all.
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

    /// The rule in the words of ethtool(8).
    package var text: String { FlowRuleText(self).text }
}

extension [UInt8] {
    func longWord(at offset: Int) -> UInt64 {
        withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    }
}
