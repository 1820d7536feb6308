/// The commands of a generic netlink family in the running kernel, and the attributes that each
/// accepts. They show whether a feature exists, also where a vendor backported it to an older
/// version.
package struct FamilyPolicy: Equatable, Sendable {
    /// The command numbers.
    package var commands: Set<UInt8>
    /// The attribute numbers that a request may contain, by command.
    package var attributes: [UInt8: Set<UInt16>]
    /// The attribute numbers allowed in each nest, by command and nest.
    var nested: [UInt8: [UInt16: Set<UInt16>]] = [:]
}

extension FamilyPolicy {
    /// Reads the policy from the kernel (`ctrl_dumppolicy_start` of net/netlink/genetlink.c).
    ///
    /// - Parameter family: the family's name, such as `netdev`.
    /// - Throws: `DevmemError` of kind `unsupported` if there is no such family, `netlink` if the
    ///   kernel refuses.
    package init(of family: String) throws(DevmemError) {
        let socket = try NetlinkSocket()
        _ = try socket.family(family)
        commands = try socket.commands(of: family)
        let message = try NetlinkMessage(
            family: ControlNumber.family, command: ControlNumber.getPolicy, version: 1, dump: true)
        try message.put(ControlNumber.familyName, family)
        let replies = try socket.request(message, operation: "read the policy of family \(family)")
        let table = try Self.read(replies)
        attributes = table.attributes
        nested = table.nested
    }

    /// Combines the parts of a policy dump: the policies by number, and the policy of each command.
    static func read(
        _ replies: [NetlinkAttributes]
    ) throws(DevmemError) -> (
        attributes: [UInt8: Set<UInt16>], nested: [UInt8: [UInt16: Set<UInt16>]]
    ) {
        var members: [UInt32: Set<UInt16>] = [:]
        var inner: [UInt32: [UInt16: UInt32]] = [:]
        var policies: [UInt8: UInt32] = [:]
        for reply in replies {
            for part in reply.values where part.type == ControlNumber.commandPolicy {
                for command in try part.nested().values {
                    guard let number = UInt8(exactly: command.type) else { continue }
                    policies[number] = try command.nested().uint32(ControlNumber.policyDo)
                }
            }
            for part in reply.values where part.type == ControlNumber.policy {
                for policy in try part.nested().values {
                    let number = UInt32(policy.type)
                    for attribute in try policy.nested().values {
                        members[number, default: []].insert(attribute.type)
                        if let next = try attribute.nested().uint32(ControlNumber.nestedPolicy) {
                            inner[number, default: [:]][attribute.type] = next
                        }
                    }
                }
            }
        }
        var attributes: [UInt8: Set<UInt16>] = [:]
        var nested: [UInt8: [UInt16: Set<UInt16>]] = [:]
        for (command, policy) in policies {
            attributes[command] = members[policy] ?? []
            nested[command] = (inner[policy] ?? [:]).mapValues { members[$0] ?? [] }
        }
        return (attributes, nested)
    }
}
