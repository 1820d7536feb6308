import DevmemCore
import CDevmem
import Glibc
import SystemPackage

/// The result of one recvmsg(2), fragment by fragment.
struct RawReceived {
    /// The number of payload bytes.
    var count: Int
    /// The fragments that the control messages describe.
    var fragments: [PayloadFragment]

    /// The tokens of the fragments in device memory.
    var tokens: [UInt32] {
        fragments.compactMap { if case .device(_, _, let token) = $0 { token } else { nil } }
    }
    /// The first token.
    var firstToken: UInt32 {
        get throws(DevmemError) {
            guard let token = tokens.first else {
                throw DevmemError(
                    .corrupt, call: "recvmsg", message: "nothing arrived in device memory")
            }
            return token
        }
    }
    /// The ranges of device memory that hold payload.
    var places: [Range<UInt64>] {
        fragments.compactMap {
            if case .device(let offset, let length, _) = $0 {
                offset..<offset + UInt64(length)
            } else {
                nil
            }
        }
    }
    /// The number of payload bytes in device memory.
    var deviceBytes: Int { places.reduce(0) { $0 + Int($1.count) } }
}

/// Receives once with valid or invalid parameters: with the given room for payload and control
/// messages, and without blocking. Returns nil at end of stream.
func receiveRaw(
    from number: Int32, _ bound: BoundMemory, dataSize: Int = 1 << 16,
    controlSize: Int = 1 << 14, flags: Int32 = DevmemSocketNumber.message
) throws(DevmemError) -> RawReceived? {
    var data = [UInt8](repeating: 0, count: dataSize)
    var control = [UInt8](repeating: 0, count: controlSize)
    var filled = 0
    let count = try retrying("recvmsg") {
        data.withUnsafeMutableBytes { data in
            control.withUnsafeMutableBytes { control in
                var vector = iovec(iov_base: data.baseAddress, iov_len: data.count)
                return withUnsafeMutablePointer(to: &vector) { vector in
                    var message = msghdr()
                    message.msg_iov = vector
                    message.msg_iovlen = 1
                    message.msg_control = control.baseAddress
                    message.msg_controllen = control.count
                    let count = recvmsg(number, &message, flags | cdm_MSG_DONTWAIT)
                    filled = Int(message.msg_controllen)
                    return count
                }
            }
        }
    }
    guard count > 0 else { return nil }
    var parser = ControlMessageParser(dmabufID: bound.id, dmabufSize: bound.dmabuf.size)
    var fragments: [PayloadFragment] = []
    let written = Array(control[..<filled])
    while let fragment = try parser.next(in: written.span.bytes) { fragments.append(fragment) }
    return RawReceived(count: count, fragments: fragments)
}

/// Returns tokens with valid or invalid parameters: `surplus` bytes follow the last range. Returns
/// the number of fragments that the kernel accepted.
func returnTokensRaw(
    _ ranges: [(start: UInt32, count: UInt32)], surplus: Int = 0, on number: Int32
) throws(DevmemError) -> Int {
    var bytes = [UInt8](repeating: 0, count: ranges.count * 8 + surplus)
    for (index, range) in ranges.enumerated() {
        bytes.store(range.start, at: index * 8)
        bytes.store(range.count, at: index * 8 + 4)
    }
    return Int(
        try retrying("setsockopt SO_DEVMEM_DONTNEED") {
            setsockopt(
                number, SOL_SOCKET, DevmemSocketNumber.dontNeed, bytes, socklen_t(bytes.count))
        })
}

/// Sends once from device memory with valid or invalid parameters, and returns the number of bytes
/// that the kernel accepted.
@discardableResult
func sendRaw(
    on number: Int32, offset: UInt64, count: Int, binding: UInt32,
    flags: Int32 = cdm_MSG_ZEROCOPY
) throws(DevmemError) -> Int {
    let control = ControlBuffer(naming: binding)
    return try retrying("sendmsg") {
        var vector = iovec(
            iov_base: UnsafeMutableRawPointer(bitPattern: UInt(offset)), iov_len: count)
        return withUnsafeMutablePointer(to: &vector) { vector in
            var message = msghdr()
            message.msg_iov = vector
            message.msg_iovlen = 1
            message.msg_control = control.bytes.baseAddress
            message.msg_controllen = control.bytes.count
            return sendmsg(number, &message, flags | cdm_MSG_DONTWAIT | cdm_MSG_NOSIGNAL)
        }
    }
}
