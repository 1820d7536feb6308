import CDevmem
import SystemPackage

/// An RSS context: how a NIC spreads flows over its queues. Context 0 is for flows that match no
/// rule.
package struct RSSContext: Equatable, Sendable {
    /// The context's id.
    package var id: UInt32
    /// The receive queue of each slot of the indirection table.
    package var indirection: [UInt32]
    /// The key of the hash function.
    package var key: [UInt8]
    /// The hash function, a bit of `ETH_RSS_HASH_*` of the kernel's linux/ethtool.h.
    package var hashFunction: UInt32
    /// `RXH_XFRM_*` of linux/ethtool.h: how a packet's fields are transformed before hashing.
    package var inputTransform: UInt32

    /// Creates a context from its values.
    package init(
        id: UInt32, indirection: [UInt32], key: [UInt8] = [], hashFunction: UInt32 = 0,
        inputTransform: UInt32 = 0
    ) {
        self.id = id
        self.indirection = indirection
        self.key = key
        self.hashFunction = hashFunction
        self.inputTransform = inputTransform
    }
}

private enum Attribute {
    static let context: UInt16 = 2
    static let hashFunction: UInt16 = 3
    static let indirection: UInt16 = 4
    static let key: UInt16 = 5
    static let inputTransform: UInt16 = 6

    static let names = AttributeNames(
        "",
        [
            1: AttributeNames("header"), context: AttributeNames("context"),
            indirection: AttributeNames("indir"),
        ])
}

extension EthtoolNetlink {
    /// Returns whether the kernel can change RSS over netlink (since Linux 6.17).
    func changesRSS() throws(DevmemError) -> Bool {
        try commands().isSuperset(of: [
            EthtoolNumber.Command.rssSet, EthtoolNumber.Command.rssCreate,
            EthtoolNumber.Command.rssDelete,
        ])
    }

    /// Reads all RSS contexts, the main one first; empty if the NIC has no RSS.
    package func rssContexts() throws(DevmemError) -> [RSSContext] {
        let replies: [NetlinkAttributes]
        do throws(DevmemError) {
            replies = try request(EthtoolNumber.Command.rssGet, call: "read RSS of", dump: true)
        } catch  where error.errno == .notSupportedOnSocket {
            return []
        }
        return replies.map { reply in
            RSSContext(
                id: reply.uint32(Attribute.context) ?? 0,
                indirection: reply[Attribute.indirection]?.words ?? [],
                key: reply[Attribute.key].map { Array($0.payload) } ?? [],
                hashFunction: reply.uint32(Attribute.hashFunction) ?? 0,
                inputTransform: reply.uint32(Attribute.inputTransform) ?? 0)
        }
        .sorted { $0.id < $1.id }
    }

    /// Sets the main context's table; an empty table requests the driver's default.
    func setIndirectionTable(_ table: [UInt32]) throws(DevmemError) {
        _ = try request(
            EthtoolNumber.Command.rssSet, call: rssCall(table), names: Attribute.names
        ) { message throws(DevmemError) in
            try message.put(Attribute.indirection, words: table)
        }
    }

    /// Creates a context with a table and otherwise the main context's settings; returns its id.
    func createRSSContext(_ table: [UInt32]) throws(DevmemError) -> UInt32 {
        let replies = try request(
            EthtoolNumber.Command.rssCreate, call: rssCreateCall, names: Attribute.names
        ) { message throws(DevmemError) in
            try message.put(Attribute.indirection, words: table)
        }
        guard let id = replies.first?.uint32(Attribute.context) else {
            throw DevmemError(
                .malformed, rssCreateCall.on(interface.name),
                message: "the reply has no id")
        }
        return id
    }

    func deleteRSSContext(_ id: UInt32) throws(DevmemError) {
        _ = try request(
            EthtoolNumber.Command.rssDelete, call: rssDeleteCall(id), names: Attribute.names
        ) { message throws(DevmemError) in
            try message.put(Attribute.context, id)
        }
    }
}

private let rssCreateCall = DevmemError.Operation(.addContext, "add an RSS context to")

private func rssDeleteCall(_ id: UInt32) -> DevmemError.Operation {
    DevmemError.Operation(.deleteContext, "delete RSS context \(id) of")
}

private func rssCall(_ table: [UInt32]) -> DevmemError.Operation {
    table.isEmpty ? "reset the RSS table of" : "set the RSS table of"
}

/// The offsets in `struct ethtool_rxfh` of linux/ethtool.h.
private enum Layout {
    static let context = 4
    static let indirectionSize = 8
    static let inputTransform = 17
    static let config = 24

    static let newContext = UInt32.max
    static let keepInputTransform: UInt8 = 0xff
}

/// RSS over the ioctl (`ethtool_set_rxfh` of the kernel's net/ethtool/ioctl.c), for kernels before
/// 6.17.
extension EthtoolIoctl {
    /// Sets the main context's table and leaves key, hash function and input transform. An empty
    /// table requests the driver's default; the kernel then forgets that a user set one.
    func setIndirectionTable(_ table: [UInt32]) throws(DevmemError) {
        var bytes = rxfh(table)
        try run(&bytes, call: rssCall(table))
    }

    /// Creates a context with a table and otherwise the main context's settings; returns its id.
    func createRSSContext(_ table: [UInt32]) throws(DevmemError) -> UInt32 {
        var bytes = rxfh(table)
        bytes.store(Layout.newContext, at: Layout.context)
        try run(&bytes, call: rssCreateCall)
        return bytes.word(at: Layout.context)
    }

    func deleteRSSContext(_ id: UInt32) throws(DevmemError) {
        var bytes = rxfh([])
        bytes.store(id, at: Layout.context)
        try run(&bytes, call: rssDeleteCall(id))
    }

    private func rxfh(_ table: [UInt32]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Layout.config + 4 * table.count)
        bytes.store(UInt32(ETHTOOL_SRSSH), at: 0)
        bytes.store(UInt32(table.count), at: Layout.indirectionSize)
        bytes.store(Layout.keepInputTransform, at: Layout.inputTransform)
        for (slot, queue) in table.enumerated() {
            bytes.store(queue, at: Layout.config + 4 * slot)
        }
        return bytes
    }
}
