import DevmemCore
import CDevmem
import Glibc
import SystemPackage

extension ValidationCase {
    /// Requests that the udmabuf driver must refuse (drivers/dma-buf/udmabuf.c).
    static var udmabufRefusals: [ValidationCase] {
        let page = UInt64(systemPageSize)
        return [
            refused("without-seal", "memory that can shrink", seals: 0, size: page),
            refused(
                "sealed-against-writing", "memory sealed against writing",
                seals: cdm_F_SEAL_SHRINK | cdm_F_SEAL_WRITE, size: page),
            refused(
                "size-not-aligned", "a size that is not a multiple of a page", size: page + 512),
            refused("size-zero", "a size of zero", size: 0),
            refused(
                "offset-not-aligned", "an offset that is not a multiple of a page", offset: 512,
                size: page),
            refused("beyond-the-end", "more than the memory holds", size: page * 64),
            ValidationCase(
                "udmabuf", "no-memfd", "a descriptor that is not a memfd is refused",
                needs: [.udmabuf]
            ) { _ throws(DevmemError) in
                let other = try Descriptor.open("/dev/null", O_RDWR)
                let number = other.rawValue
                return ExpectedRefusal(badState).verdict(on: "it") { () throws(DevmemError) in
                    try makeUdmabuf(of: number, offset: 0, size: page)
                }
            },
        ]
    }

    private static func refused(
        _ name: String, _ what: String, seals: Int32 = cdm_F_SEAL_SHRINK, offset: UInt64 = 0,
        size: UInt64
    ) -> ValidationCase {
        ValidationCase("udmabuf", name, "\(what) is refused", needs: [.udmabuf]) {
            _ throws(DevmemError) in
            let memory = Descriptor(
                owning: try retrying("memfd_create") {
                    cdm_memfd_create("devmemtcp", cdm_MFD_CLOEXEC | cdm_MFD_ALLOW_SEALING)
                })
            let number = memory.rawValue
            try retrying("size a memfd") { ftruncate(number, off_t(systemPageSize) * 16) }
            if seals != 0 {
                try retrying("seal a memfd") { cdm_fcntl(number, cdm_F_ADD_SEALS, Int(seals)) }
            }
            return ExpectedRefusal(.invalidArgument).verdict(on: "it") { () throws(DevmemError) in
                try makeUdmabuf(of: number, offset: offset, size: size)
            }
        }
    }
}

/// EBADFD, for which SystemPackage has no name.
private let badState = Errno(rawValue: EBADFD)

/// Creates a dma-buf and closes it at once.
private func makeUdmabuf(
    of memory: Int32, offset: UInt64, size: UInt64
) throws(DevmemError) {
    let device = try Descriptor.open(udmabufPath, O_RDWR)
    var request = udmabuf_create()
    request.memfd = UInt32(bitPattern: memory)
    request.flags = UInt32(UDMABUF_FLAGS_CLOEXEC)
    request.offset = offset
    request.size = size
    let number = try retrying("make a dma-buf") {
        cdm_ioctl(device.rawValue, cdm_UDMABUF_CREATE, &request)
    }
    _ = Descriptor(owning: number)
}
