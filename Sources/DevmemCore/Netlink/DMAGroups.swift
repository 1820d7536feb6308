import SystemPackage

/// Receive queues by the DMA device that fills them, where a NIC has several, as mlx5's Socket Direct
/// does; empty where all share one, and where that cannot be learnt.
///
/// The kernel tells it nowhere, but bind-rx looks at the devices before it looks at the dma-buf
/// (`netdev_nl_bind_rx_doit` of net/core/netdev-genl.c). So a request without a dma-buf, which changes
/// nothing, is refused in one way or the other. It takes CAP_NET_ADMIN.
func dmaGroups(of queues: [UInt32], on interface: NetworkInterface) -> [[UInt32]] {
    guard queues.count > 1, let socket = try? NetlinkSocket(),
        let family = try? socket.family(NetdevNumber.familyName)
    else { return [] }
    return dmaGroups(of: queues) { some in
        do throws(DevmemError) {
            let message = try ReceiveBinding.request(
                family: family, dmabuf: -1, interface: interface.index, queues: some)
            _ = try socket.request(message, call: .init(.bindReceive, "bind-rx of nothing"))
            return nil
        } catch {
            return shareDMADevice(bindingRefusedWith: error)
        }
    }
}

/// What the refusal of a binding without a dma-buf says: whether its queues share a device.
func shareDMADevice(bindingRefusedWith error: DevmemError) -> Bool? {
    if Refusal(error) == .differentDMADevices { return false }
    return error.errno == .badFileDescriptor ? true : nil
}

/// Groups queues of which it can only be asked whether some share a device. Pure.
func dmaGroups(of queues: [UInt32], share: ([UInt32]) -> Bool?) -> [[UInt32]] {
    guard share(queues) == false else { return [] }
    var groups: [[UInt32]] = []
    for queue in queues {
        var home: Int?
        for (number, group) in groups.enumerated() where home == nil {
            guard let isShared = share([group[0], queue]) else { return [] }
            if isShared { home = number }
        }
        if let home { groups[home].append(queue) } else { groups.append([queue]) }
    }
    return groups
}
