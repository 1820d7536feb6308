/// How far apart two devices are, the nearest first: what a NIC's DMA to the other one's memory has
/// to cross. The steps are those of `pci_p2pdma_distance_many` of the kernel's drivers/pci/p2pdma.c
/// and of `nvidia-smi topo`, whose letters are given.
package enum DeviceDistance: String, Sendable, Codable, CaseIterable, Comparable {
    /// Functions of one card.
    case sameDevice = "same-device"
    /// PCIe bridges only, not the host bridge (PIX, PXB): peer-to-peer DMA always works.
    case sameSwitch = "same-switch"
    /// The host bridge of one root complex (PHB): works where the chipset lets it.
    case sameHostBridge = "same-host-bridge"
    /// From host bridge to host bridge in one NUMA node (NODE).
    case sameNode = "same-numa-node"
    /// From NUMA node to NUMA node (SYS).
    case otherNode = "other-numa-node"
    /// Neither PCI nor NUMA tells.
    case unknown

    /// Whether it is nearer than another one; an unknown one is the farthest.
    package static func < (left: DeviceDistance, right: DeviceDistance) -> Bool {
        let order = allCases
        return order.firstIndex(of: left) ?? 0 < order.firstIndex(of: right) ?? 0
    }

    /// In words: `behind the same PCIe switch`.
    package var text: String {
        switch self {
        case .sameDevice: "on the same device"
        case .sameSwitch: "behind the same PCIe switch"
        case .sameHostBridge: "behind the same host bridge"
        case .sameNode: "in the same NUMA node"
        case .otherNode: "in another NUMA node"
        case .unknown: "at an unknown distance"
        }
    }

    /// The distance of two devices by their places in sysfs. Pure.
    ///
    /// - Parameters:
    ///   - first: a device's folder below /sys/devices.
    ///   - firstNode: its NUMA node; nil if it has none.
    ///   - second: the other device's folder.
    ///   - secondNode: its NUMA node.
    package init(from first: String, node firstNode: Int?, to second: String, node secondNode: Int?)
    {
        let one = Self.bridges(in: first)
        let other = Self.bridges(in: second)
        if first == second {
            self = .sameDevice
        } else if let slot = one.last, let otherSlot = other.last,
            one.dropLast() == other.dropLast(), Self.card(slot) == Self.card(otherSlot)
        {
            self = .sameDevice
        } else {
            let shared = zip(one, other).prefix { $0 == $1 }.count
            if shared >= 2 {
                self = .sameSwitch
            } else if shared == 1 {
                self = .sameHostBridge
            } else if let firstNode, let secondNode {
                self = firstNode == secondNode ? .sameNode : .otherNode
            } else {
                self = .unknown
            }
        }
    }

    /// Host bridge, bridges and device on a path, outermost first; none if it is not of PCI.
    private static func bridges(in path: String) -> ArraySlice<Substring> {
        let parts = path.split(separator: "/")
        guard let end = parts.lastIndex(where: isAddress),
            let start = parts.firstIndex(where: isHostBridge), start < end
        else { return [] }
        return parts[start...end].filter { isAddress($0) || isHostBridge($0) }[...]
    }

    /// `pci0000:00`: domain and bus.
    private static func isHostBridge(_ part: Substring) -> Bool {
        guard part.hasPrefix("pci") else { return false }
        let numbers = part.dropFirst(3).split(separator: ":", omittingEmptySubsequences: false)
        return numbers.count == 2 && numbers.allSatisfy(isHexadecimal)
    }

    /// `0000:03:00.1`: domain, bus, device and function.
    private static func isAddress(_ part: Substring) -> Bool {
        let numbers = part.split(separator: ":", omittingEmptySubsequences: false)
        guard numbers.count == 3 else { return false }
        let last = numbers[2].split(separator: ".", omittingEmptySubsequences: false)
        return last.count == 2 && (numbers[..<2] + last).allSatisfy(isHexadecimal)
    }

    private static func isHexadecimal(_ text: Substring) -> Bool {
        !text.isEmpty && text.allSatisfy(\.isHexDigit)
    }

    /// An address without its function.
    private static func card(_ address: Substring) -> Substring {
        address.prefix { $0 != "." }
    }
}
