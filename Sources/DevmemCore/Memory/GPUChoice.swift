/// A GPU as its driver describes it.
package struct GPU: Equatable, Sendable {
    /// Its number in CUDA or HIP.
    package let ordinal: Int32
    /// The driver's handle.
    let device: Int32
    /// The name of the model.
    package let name: String
    /// Its UUID, such as `GPU-8f6a1c2e-...`.
    package var uuid = ""
    /// Its PCI address, such as `0000:3b:00.0`.
    package var address = ""
    /// The size of its memory in bytes.
    package var memory: UInt64 = 0
    /// Whether the driver exports its memory as dma-bufs.
    package var exportsDmabufs = false
    /// Its directory below /sys/devices; nil if sysfs does not have it.
    package var path: String?
    /// The nearest NUMA node.
    package var numaNode: Int?

    /// Creates a GPU about which nothing else is known.
    package init(ordinal: Int32, device: Int32, name: String) {
        self.ordinal = ordinal
        self.device = device
        self.name = name
    }

    /// The number and the model for messages.
    package var text: String { "GPU \(ordinal) (\(name), \(address))" }

    /// Returns the distance to a NIC.
    package func distance(to nic: NetworkDevice) -> DeviceDistance {
        guard let path, let other = nic.path else { return .unknown }
        return DeviceDistance(from: path, node: numaNode, to: other, node: nic.numaNode)
    }

    /// Finds its place in sysfs by its PCI address.
    mutating func findPlace() {
        guard let udev = Udev(), let pci = udev.device(subsystem: "pci", name: address) else {
            return
        }
        path = pci.path
        numaNode = numaNodeOfDevice(pci)
    }

    /// What sizes of memory are rounded up to: the size of a GPU's large pages, so that the memory
    /// is contiguous for every buffer size of a NIC.
    static let pageSize: UInt64 = 2 << 20

    /// Returns a size in bytes rounded up to whole pages. Pure.
    ///
    /// - Throws: `DevmemError` of kind `invalid` for 0, or for more than there are addresses.
    static func length(of size: UInt64, _ call: String) throws(DevmemError) -> Int {
        let (most, overflow) = size.addingReportingOverflow(pageSize - 1)
        guard size > 0, !overflow, let length = Int(exactly: most / pageSize * pageSize) else {
            throw DevmemError(.invalid, call: call, message: "the size is impossible")
        }
        return length
    }

    /// Formats a UUID as NVIDIA's tools do. Pure.
    static func uuidText(_ bytes: [UInt8]) -> String {
        var text = "GPU-"
        for (place, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(place) { text += "-" }
            text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return text
    }

    /// Returns a PCI address as the kernel writes it, `0000:3b:00.0`. NVIDIA's tools write more
    /// digits of the domain, capitals, or no domain. Pure.
    ///
    /// - Parameter text: domain, bus, device and function, or the last three.
    /// - Returns: the address; nil if the text is none.
    static func canonicalAddress(_ text: String) -> String? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard (2...3).contains(parts.count), let last = parts.last else { return nil }
        let slot = last.split(separator: ".", omittingEmptySubsequences: false)
        guard slot.count == 2 else { return nil }
        let digits = parts.dropLast() + slot
        guard digits.allSatisfy({ !$0.isEmpty && $0.allSatisfy(\.isHexDigit) }),
            let domain = parts.count == 3 ? UInt32(parts[0], radix: 16) : 0,
            let bus = UInt8(parts[parts.count - 2], radix: 16),
            let device = UInt8(slot[0], radix: 16), device < 32,
            let function = UInt8(slot[1], radix: 16), function < 8
        else { return nil }
        func padded(_ value: UInt32, _ width: Int) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        return "\(padded(domain, 4)):\(padded(UInt32(bus), 2)):\(padded(UInt32(device), 2))"
            + ".\(function)"
    }
}

/// Which GPU to take memory of.
public enum GPUChoice: Hashable, Sendable, CustomStringConvertible {
    /// The one nearest to the NIC that uses the memory; of several, and without a NIC, the first.
    case nearest
    /// The one nearest to the NIC with this interface name.
    case near(String)
    /// The one with this number in CUDA or HIP.
    case number(Int32)
    /// The one whose UUID begins with this text, as in CUDA_VISIBLE_DEVICES; it begins with `GPU-`
    /// or, for a part of a divided GPU, `MIG-`.
    case uuid(String)
    /// The one with this PCI address, such as `0000:3b:00.0`.
    case address(String)

    /// Parses a number, a UUID or the beginning of one, a PCI address with or without its domain, or
    /// `near:IFACE`; nil for anything else.
    package init?(_ text: String) {
        let near = "near:"
        if let number = Int32(text), number >= 0, text.allSatisfy(\.isNumber) {
            self = .number(number)
        } else if text.prefix(near.count) == near, text.count > near.count {
            self = .near(String(text.dropFirst(near.count)))
        } else if ["GPU-", "MIG-"].contains(text.prefix(4)), text.count > 4 {
            self = .uuid(String(text.prefix(4)) + text.dropFirst(4).lowercased())
        } else if let address = GPU.canonicalAddress(text) {
            self = .address(address)
        } else {
            return nil
        }
    }

    /// The text that is parsed; empty for `nearest`.
    public var description: String {
        switch self {
        case .nearest: ""
        case .near(let name): "near:\(name)"
        case .number(let number): "\(number)"
        case .uuid(let text): text
        case .address(let address): address
        }
    }

    /// Returns the NIC to be near to.
    ///
    /// - Parameter interface: the NIC that uses the memory; nil if it is not known.
    /// - Returns: the NIC; nil if it does not matter, or is not known.
    /// - Throws: `DevmemError` of kind `system` if there is no interface with the name.
    func nic(for interface: NetworkInterface?) throws(DevmemError) -> NetworkDevice? {
        switch self {
        case .near(let name): NetworkDevice(of: try NetworkInterface(named: name))
        case .nearest: interface.map { NetworkDevice(of: $0) }
        case .number, .uuid, .address: nil
        }
    }

    /// Chooses a GPU. Pure.
    ///
    /// - Parameters:
    ///   - gpus: those of the host, at least one.
    ///   - nic: the NIC; nil if there is none.
    /// - Returns: the GPU. One that exports no dma-bufs only if no other fits.
    /// - Throws: `DevmemError` of kind `invalid` if there is no such GPU, or if several fit a UUID.
    func choose(from gpus: [GPU], near nic: NetworkDevice?) throws(DevmemError) -> GPU {
        let found: [GPU]
        switch self {
        case .number(let number): found = gpus.filter { $0.ordinal == number }
        case .address(let address): found = gpus.filter { $0.address == address }
        case .uuid(let text):
            found = gpus.filter { $0.uuid.hasPrefix(text) }
            guard found.count < 2 else { throw refusal("several GPUs fit", gpus) }
        case .nearest, .near:
            let fit = gpus.contains(where: \.exportsDmabufs) ? gpus.filter(\.exportsDmabufs) : gpus
            let nearest = fit.map { distance($0, nic) }.min()
            found = fit.filter { distance($0, nic) == nearest }
        }
        guard let gpu = found.first else { throw refusal("there is no such GPU", gpus) }
        return gpu
    }

    private func distance(_ gpu: GPU, _ nic: NetworkDevice?) -> DeviceDistance {
        nic.map { gpu.distance(to: $0) } ?? .unknown
    }

    private func refusal(_ message: String, _ gpus: [GPU]) -> DevmemError {
        let list = gpus.map { "\($0.ordinal) \($0.address) \($0.uuid)" }.joined(separator: ", ")
        return DevmemError(
            .invalid, call: "find GPU \(self)", message: message, advice: "the GPUs are: \(list)")
    }
}
