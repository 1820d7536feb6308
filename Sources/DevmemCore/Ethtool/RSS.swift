import CDevmem
import SystemPackage

/// The offsets in `struct ethtool_rxfh` of linux/ethtool.h.
private enum Layout {
    static let indirectionSize = 8
    static let keySize = 12
    static let config = 24
    /// ETH_RXFH_INDIR_NO_CHANGE would be all ones; zero asks for the driver's default.
    static let resetSize: UInt32 = 0
}

extension EthtoolIoctl {
    /// The RSS indirection table of the main context: for each slot, a receive queue. Empty if
    /// the NIC has none.
    func indirectionTable() throws(DevmemError) -> [UInt32] {
        let call = "read the RSS table of"
        var probe = rxfh(ETHTOOL_GRSSH, words: 0)
        do throws(DevmemError) {
            try run(&probe, call: call)
        } catch  where error.errno == .notSupportedOnSocket {
            return []
        }
        let count = Int(probe.word(at: Layout.indirectionSize))
        let keyBytes = Int(probe.word(at: Layout.keySize))
        guard count > 0 else { return [] }

        var bytes = rxfh(ETHTOOL_GRSSH, words: count + (keyBytes + 3) / 4)
        bytes.store(UInt32(count), at: Layout.indirectionSize)
        bytes.store(UInt32(keyBytes), at: Layout.keySize)
        try run(&bytes, call: call)
        return (0..<count).map { bytes.word(at: Layout.config + 4 * $0) }
    }

    /// Sets the RSS indirection table of the main context and leaves key and function alone.
    func setIndirectionTable(_ table: [UInt32]) throws(DevmemError) {
        var bytes = rxfh(ETHTOOL_SRSSH, words: table.count)
        bytes.store(UInt32(table.count), at: Layout.indirectionSize)
        for (slot, queue) in table.enumerated() {
            bytes.store(queue, at: Layout.config + 4 * slot)
        }
        try run(&bytes, call: "set the RSS table of")
    }

    /// Lets the driver spread flows as it does by default; the kernel then no longer regards the
    /// table as configured by a user (`ethtool_set_rxfh` of net/ethtool/ioctl.c).
    func resetIndirectionTable() throws(DevmemError) {
        var bytes = rxfh(ETHTOOL_SRSSH, words: 0)
        bytes.store(Layout.resetSize, at: Layout.indirectionSize)
        try run(&bytes, call: "reset the RSS table of")
    }

    private func rxfh(_ command: Int32, words: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Layout.config + 4 * words)
        bytes.store(UInt32(command), at: 0)
        return bytes
    }
}
