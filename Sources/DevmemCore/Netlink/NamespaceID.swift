import CDevmem
import Glibc
import SystemPackage

/// Numbers of the requests about ids of network namespaces (linux/net_namespace.h).
private enum NamespaceNumber {
    static let newID = cdm_RTM_NEWNSID
    static let getID = cdm_RTM_GETNSID
    static let id = cdm_NETNSA_NSID
    static let descriptor = cdm_NETNSA_FD
    /// `struct rtgenmsg` and its padding.
    static let headerLength = cdm_rtgenmsg_size
    /// No id is assigned, or any may be.
    static let none = cdm_NETNSA_NSID_NOT_ASSIGNED
}

/// Returns the id of another network namespace in this one, and has the kernel assign one if there is
/// none (`rtnl_net_newid` of net/core/net_namespace.c).
///
/// - Throws: `DevmemError` of kind `netlink` if the kernel refuses.
func namespaceID(of other: borrowing NetworkNamespace) throws(DevmemError) -> Int32 {
    let socket = try NetlinkSocket(
        protocol: LinkNumber.netlinkRoute, familyHeaderLength: NamespaceNumber.headerLength)
    if let id = try assignedID(of: other, over: socket) { return id }
    let message = try request(NamespaceNumber.newID, other)
    try message.put(NamespaceNumber.id, NamespaceNumber.none)
    do throws(DevmemError) {
        _ = try socket.request(message, operation: "assign an id to the namespace \(other.name)")
    } catch {
        // Another process may have had one assigned meanwhile.
        guard error.errno == .fileExists else { throw error }
    }
    guard let id = try assignedID(of: other, over: socket) else {
        throw DevmemError(
            .malformed, call: "read the id of the namespace \(other.name)",
            message: "the kernel has assigned none")
    }
    return id
}

private func assignedID(
    of other: borrowing NetworkNamespace, over socket: borrowing NetlinkSocket
) throws(DevmemError) -> Int32? {
    let replies = try socket.request(
        try request(NamespaceNumber.getID, other),
        operation: "read the id of the namespace \(other.name)")
    let id = replies.first?.uint32(NamespaceNumber.id).map { Int32(bitPattern: $0) }
    return id == NamespaceNumber.none ? nil : id
}

private func request(
    _ type: UInt16, _ namespace: borrowing NetworkNamespace
) throws(DevmemError) -> NetlinkMessage {
    let message = try NetlinkMessage(
        type: type, header: [UInt8](repeating: 0, count: NamespaceNumber.headerLength))
    try message.put(NamespaceNumber.descriptor, UInt32(bitPattern: namespace.descriptor.rawValue))
    return message
}
