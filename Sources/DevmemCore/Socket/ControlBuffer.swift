import CDevmem

/// The sendmsg(2) control message that names the binding to send from.
package struct ControlBuffer: ~Copyable {
    package let bytes: UnsafeMutableRawBufferPointer

    package init(naming binding: UInt32) {
        let header = MemoryLayout<cdm_cmsghdr>.size
        let length = header + MemoryLayout<UInt32>.size
        let alignment = Int(cdm_cmsg_alignment)
        bytes = .allocate(
            byteCount: (length + alignment - 1) & ~(alignment - 1), alignment: alignment)
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        bytes.storeBytes(
            of: cdm_cmsghdr(
                cmsg_len: length, cmsg_level: DevmemSocketNumber.level,
                cmsg_type: DevmemSocketNumber.dmabuf), as: cdm_cmsghdr.self)
        bytes.storeBytes(of: binding, toByteOffset: header, as: UInt32.self)
    }

    deinit {
        bytes.deallocate()
    }
}
