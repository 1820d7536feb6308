/// The distance between two devices, nearest first: what a NIC's DMA to the other device's memory
/// must cross. The levels are those of `pci_p2pdma_distance_many` of the kernel's
/// drivers/pci/p2pdma.c and of `nvidia-smi topo`, whose abbreviations are given.
package enum DeviceDistance: String, Sendable, Codable, CaseIterable, Comparable {
    /// Functions of one device.
    case sameDevice = "same-device"
    /// PCIe bridges but no host bridge (PIX, PXB): peer-to-peer DMA always works.
    case sameSwitch = "same-switch"
    /// One host bridge (PHB): peer-to-peer DMA works if the chipset allows it.
    case sameHostBridge = "same-host-bridge"
    /// Different host bridges in one NUMA node (NODE).
    case sameNode = "same-numa-node"
    /// Different NUMA nodes (SYS).
    case otherNode = "other-numa-node"
    /// Not known from PCI or NUMA information.
    case unknown

    /// Returns whether it is nearer than another; `unknown` is the farthest.
    package static func < (left: DeviceDistance, right: DeviceDistance) -> Bool {
        let order = allCases
        return order.firstIndex(of: left) ?? 0 < order.firstIndex(of: right) ?? 0
    }

    /// The distance in words: `behind the same PCIe switch`.
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

    /// Determines the distance between two devices from their sysfs paths. Pure.
    ///
    /// - Parameters:
    ///   - first: a device's directory below /sys/devices.
    ///   - firstNode: its NUMA node; nil if unknown.
    ///   - second: the other device's directory.
    ///   - secondNode: its NUMA node; nil if unknown.
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

    /// Returns the host bridge, bridges and device on a path, outermost first; empty if it is not a
    /// PCI path.
    private static func bridges(in path: String) -> ArraySlice<Substring> {
        let parts = path.split(separator: "/")
        guard let end = parts.lastIndex(where: isAddress),
            let start = parts.firstIndex(where: isHostBridge), start < end
        else { return [] }
        return parts[start...end].filter { isAddress($0) || isHostBridge($0) }[...]
    }

    /// Recognizes `pci0000:00`: domain and bus.
    private static func isHostBridge(_ part: Substring) -> Bool {
        guard part.hasPrefix("pci") else { return false }
        let numbers = part.dropFirst(3).split(separator: ":", omittingEmptySubsequences: false)
        return numbers.count == 2 && numbers.allSatisfy(isHexadecimal)
    }

    /// Recognizes `0000:03:00.1`: domain, bus, device and function.
    private static func isAddress(_ part: Substring) -> Bool {
        let numbers = part.split(separator: ":", omittingEmptySubsequences: false)
        guard numbers.count == 3 else { return false }
        let last = numbers[2].split(separator: ".", omittingEmptySubsequences: false)
        return last.count == 2 && (numbers[..<2] + last).allSatisfy(isHexadecimal)
    }

    private static func isHexadecimal(_ text: Substring) -> Bool {
        !text.isEmpty && text.allSatisfy(\.isHexDigit)
    }

    /// Returns an address without the function.
    private static func card(_ address: Substring) -> Substring {
        address.prefix { $0 != "." }
    }
}
