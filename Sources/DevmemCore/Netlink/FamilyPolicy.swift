/// What a generic netlink family of the running kernel takes: its commands, and the attributes of
/// each. So a feature is known by itself and not by the kernel's version, as vendors port them back.
package struct FamilyPolicy: Equatable, Sendable {
    /// The commands, by number.
    package var commands: Set<UInt8>
    /// For each command the numbers of the attributes that a request may have.
    package var attributes: [UInt8: Set<UInt16>]
    /// For each command and nest the numbers of the attributes inside.
    var nested: [UInt8: [UInt16: Set<UInt16>]]

    init(
        commands: Set<UInt8>, attributes: [UInt8: Set<UInt16>],
        nested: [UInt8: [UInt16: Set<UInt16>]] = [:]
    ) {
        self.commands = commands
        self.attributes = attributes
        self.nested = nested
    }

    /// Asks the kernel (`ctrl_dumppolicy_start` of net/netlink/genetlink.c).
    ///
    /// - Parameter family: the family's name, such as `netdev`.
    /// - Throws: `DevmemError` of kind `unsupported` if there is no such family, `netlink` if the
    ///   kernel does not tell.
    package init(of family: String) throws(DevmemError) {
        let socket = try NetlinkSocket()
        _ = try socket.family(family)
        commands = try socket.commands(of: family)
        let message = try NetlinkMessage(
            family: ControlNumber.family, command: ControlNumber.getPolicy, version: 1, dump: true)
        try message.put(ControlNumber.familyName, family)
        let replies = try socket.request(message, call: "read the policy of family \(family)")
        let table = try Self.read(replies)
        attributes = table.attributes
        nested = table.nested
    }

    /// Puts the parts of a policy dump together: policies by number, and which of them a command
    /// uses.
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
