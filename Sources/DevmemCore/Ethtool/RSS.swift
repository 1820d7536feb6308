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
    package var key: [UInt8] = []
    /// The hash function, a bit of `ETH_RSS_HASH_*` of the kernel's linux/ethtool.h.
    package var hashFunction: UInt32 = 0
    /// `RXH_XFRM_*` of linux/ethtool.h: how a packet's fields are transformed before hashing.
    package var inputTransform: UInt32 = 0
}

extension RSSContext {
    /// Parses a reply to rss-get; what is missing is zero or empty.
    init(_ reply: NetlinkAttributes) {
        self.init(
            id: reply.uint32(Attribute.context) ?? 0,
            indirection: reply[Attribute.indirection]?.words ?? [],
            key: reply[Attribute.key].map { Array($0.payload) } ?? [],
            hashFunction: reply.uint32(Attribute.hashFunction) ?? 0,
            inputTransform: reply.uint32(Attribute.inputTransform) ?? 0)
    }
}

private enum Attribute {
    static let context = cdm_ETHTOOL_A_RSS_CONTEXT
    static let hashFunction = cdm_ETHTOOL_A_RSS_HFUNC
    static let indirection = cdm_ETHTOOL_A_RSS_INDIR
    static let key = cdm_ETHTOOL_A_RSS_HKEY
    static let inputTransform = cdm_ETHTOOL_A_RSS_INPUT_XFRM

    static let names = AttributeNames(
        "",
        [
            cdm_ETHTOOL_A_RSS_HEADER: AttributeNames("header"),
            context: AttributeNames("context"), indirection: AttributeNames("indir"),
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
            replies = try request(
                EthtoolNumber.Command.rssGet, operation: "read RSS of", dump: true)
        } catch  where error.errno == .notSupportedOnSocket {
            return []
        }
        return replies.map(RSSContext.init).sorted { $0.id < $1.id }
    }

    /// Sets the main context's table; an empty table requests the driver's default.
    func setIndirectionTable(_ table: [UInt32]) throws(DevmemError) {
        _ = try request(
            EthtoolNumber.Command.rssSet, operation: setOperation(table), names: Attribute.names
        ) { message throws(DevmemError) in
            try message.put(Attribute.indirection, words: table)
        }
    }

    /// Creates a context with a table and otherwise the main context's settings; returns its id.
    func createRSSContext(_ table: [UInt32]) throws(DevmemError) -> UInt32 {
        let replies = try request(
            EthtoolNumber.Command.rssCreate, operation: createOperation, names: Attribute.names
        ) { message throws(DevmemError) in
            try message.put(Attribute.indirection, words: table)
        }
        guard let id = replies.first?.uint32(Attribute.context) else {
            throw DevmemError(
                .malformed, createOperation.on(interface.name),
                message: "the reply has no id")
        }
        return id
    }

    func deleteRSSContext(_ id: UInt32) throws(DevmemError) {
        _ = try request(
            EthtoolNumber.Command.rssDelete, operation: deleteOperation(id), names: Attribute.names
        ) { message throws(DevmemError) in
            try message.put(Attribute.context, id)
        }
    }
}

private let createOperation = DevmemError.Operation(.addContext, "add an RSS context to")

private func deleteOperation(_ id: UInt32) -> DevmemError.Operation {
    DevmemError.Operation(.deleteContext, "delete RSS context \(id) of")
}

private func setOperation(_ table: [UInt32]) -> DevmemError.Operation {
    table.isEmpty ? "reset the RSS table of" : "set the RSS table of"
}

/// The offsets in `struct ethtool_rxfh` of linux/ethtool.h.
private enum Layout {
    static let context = cdm_ethtool_rxfh_rss_context
    static let indirectionSize = cdm_ethtool_rxfh_indir_size
    static let inputTransform = cdm_ethtool_rxfh_input_xfrm
    static let config = cdm_ethtool_rxfh_rss_config

    static let newContext = cdm_ETH_RXFH_CONTEXT_ALLOC
    static let keepInputTransform = cdm_RXH_XFRM_NO_CHANGE
}

/// RSS over the ioctl (`ethtool_set_rxfh` of the kernel's net/ethtool/ioctl.c), for kernels before
/// 6.17.
extension EthtoolIoctl {
    /// Sets the main context's table and leaves key, hash function and input transform. An empty
    /// table requests the driver's default; the kernel then forgets that a user set one.
    func setIndirectionTable(_ table: [UInt32]) throws(DevmemError) {
        var bytes = rxfh(table)
        try run(&bytes, operation: setOperation(table))
    }

    /// Creates a context with a table and otherwise the main context's settings; returns its id.
    func createRSSContext(_ table: [UInt32]) throws(DevmemError) -> UInt32 {
        var bytes = rxfh(table)
        bytes.store(Layout.newContext, at: Layout.context)
        try run(&bytes, operation: createOperation)
        return bytes.word(at: Layout.context)
    }

    func deleteRSSContext(_ id: UInt32) throws(DevmemError) {
        var bytes = rxfh([])
        bytes.store(id, at: Layout.context)
        try run(&bytes, operation: deleteOperation(id))
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
