import CDevmem
import Glibc
import SystemPackage

/// A dma-buf that another program made, such as one of a GPU's memory. Its size is its own.
struct ForeignDmabuf: DmabufMaker {
    /// Where it comes from.
    enum Origin: Equatable, Sendable {
        /// A descriptor of this process, which stays open.
        case descriptor(Int32)
        /// The owner of a unix socket, which sends it to whoever connects.
        case socket(String)
    }

    let origin: Origin

    func make(_ request: DmabufRequest) throws(DevmemError) -> DmabufMemory {
        let descriptor: Descriptor
        let name: String
        switch origin {
        case .descriptor(let number):
            name = "descriptor \(number)"
            descriptor = Descriptor(
                owning: try retrying("use \(name)") {
                    cdm_fcntl(number, F_DUPFD_CLOEXEC, 3)
                })
        case .socket(let path):
            name = "the descriptor from \(path)"
            var text = ""
            descriptor = try PassedDescriptor.receive(from: path, &text)
        }
        return try Self.wrap(descriptor, name)
    }

    private static func wrap(
        _ descriptor: consuming Descriptor, _ name: String
    ) throws(DevmemError) -> DmabufMemory {
        let call = "use \(name)"
        try checkKind(descriptor, call)
        let size = try retrying(call) { lseek(descriptor.rawValue, 0, SEEK_END) }
        guard size > 0, size % Int(systemPageSize) == 0 else {
            throw DevmemError(
                .invalid, call: call, message: "its \(size) bytes are not whole pages")
        }
        // Memory of a device may be out of the CPU's reach.
        let isMappable = (try? drop(Mapping(descriptor, count: Int(systemPageSize)))) != nil
        return DmabufMemory(
            descriptor: descriptor, length: size,
            device: isMappable ? nil : Unmappable(name: name))
    }

    /// Only a dma-buf knows this call (`dma_buf_ioctl` of drivers/dma-buf/dma-buf.c).
    private static func checkKind(
        _ descriptor: borrowing Descriptor, _ call: String
    ) throws(DevmemError) {
        for phase in [DMA_BUF_SYNC_START, DMA_BUF_SYNC_END] {
            var request = dma_buf_sync(flags: UInt64(phase) | UInt64(DMA_BUF_SYNC_READ))
            do throws(DevmemError) {
                try retrying(call) {
                    cdm_ioctl(descriptor.rawValue, cdm_DMA_BUF_IOCTL_SYNC, &request)
                }
            } catch {
                guard error.errno == .inappropriateIOCTLForDevice || error.errno == .invalidArgument
                else { throw error }
                throw DevmemError(.invalid, call: call, message: "it is not a dma-buf")
            }
        }
    }
}

/// Memory that neither the CPU nor this program can read or write.
private final class Unmappable: DeviceCopies {
    let name: String

    init(name: String) {
        self.name = name
    }

    private var refusal: DevmemError {
        DevmemError(
            .unsupported, call: "read or write the memory of \(name)",
            message: "the CPU cannot map it",
            advice: "discard what is received; the program that made it can look into it")
    }

    func copyOut(
        _ ranges: [MemoryRange], to host: UnsafeMutableRawBufferPointer
    ) throws(DevmemError) { throw refusal }

    func copyIn(_ range: MemoryRange, from host: UnsafeRawBufferPointer) throws(DevmemError) {
        throw refusal
    }
}
