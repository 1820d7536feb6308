import SystemPackage

/// Groups receive queues by DMA device on a NIC with several, such as mlx5 with Socket Direct;
/// returns no groups if all queues share one or it cannot be determined.
///
/// The kernel does not report the device, but bind-rx checks the devices before the dma-buf
/// (`netdev_nl_bind_rx_doit` of net/core/netdev-genl.c). So a request without a dma-buf, which
/// changes nothing, is refused in one of two ways. It requires CAP_NET_ADMIN.
func dmaGroups(of queues: [UInt32], on interface: NetworkInterface) -> [[UInt32]] {
    guard queues.count > 1, let socket = try? NetlinkSocket(),
        let family = try? socket.family(NetdevNumber.familyName)
    else { return [] }
    return dmaGroups(of: queues) { some in
        do throws(DevmemError) {
            let message = try ReceiveBinding.request(
                family: family, dmabuf: -1, interface: interface.index, queues: some)
            _ = try socket.request(message, operation: .init(.bindReceive, "bind-rx of nothing"))
            return nil
        } catch {
            return shareDMADevice(bindingRefusedWith: error)
        }
    }
}

/// Returns what the refusal of a binding without a dma-buf says: whether its queues share a device.
func shareDMADevice(bindingRefusedWith error: DevmemError) -> Bool? {
    if Refusal(error) == .differentDMADevices { return false }
    return error.errno == .badFileDescriptor ? true : nil
}

/// Groups queues by a function that tells whether given queues share a device. Pure.
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
