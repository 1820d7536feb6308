import CDevmem
import SystemPackage

/// The part of the memory that one queue fills: a whole dma-buf, as io_uring takes no less.
struct ZerocopyArea: Equatable, Sendable {
    /// Identifies the dma-buf in the kernel's offsets.
    let token: UInt64
    /// Bytes from the start of the memory.
    let start: Int
    /// Bytes.
    let size: Int

    /// Returns the kernel's offset of a fragment. Pure.
    func place(of fragment: ZerocopyFragment) -> UInt64 {
        UInt64(truncatingIfNeeded: fragment.offset &- start) | token
    }
}

/// A range of the memory that holds payload.
struct ZerocopyFragment: Equatable, Sendable {
    /// Bytes from the start of the memory.
    let offset: Int
    /// Bytes, at least one.
    let length: Int
}

/// A completion of a zero-copy receive request. Pure.
enum ZerocopyCompletion: Equatable, Sendable {
    /// Payload; the request goes on.
    case fragment(ZerocopyFragment)
    /// The request has ended with the stream.
    case end
    /// The request has ended because too many completions wait; nothing is lost.
    case full
    /// The request has ended because what comes next is not in device memory.
    case outside
    /// The request has ended with an error.
    case failed(Errno)

    /// Reads a completion (`io_zcrx_queue_cqe` and `io_recvzc` of the kernel's io_uring).
    ///
    /// - Parameters:
    ///   - completion: the completion.
    ///   - area: the part of the memory that the queue fills.
    /// - Throws: `DevmemError` of kind `malformed` for a range that is not in the dma-buf.
    init(_ completion: cdm_io_uring_cqe, _ area: ZerocopyArea) throws(DevmemError) {
        guard completion.flags & cdm_IORING_CQE_F_MORE != 0 else {
            switch Errno(rawValue: 0 &- min(completion.res, 0)) {
            case Errno(rawValue: 0) where completion.res == 0: self = .end
            case .noSpace: self = .full
            case .noMemory: self = .outside
            case Errno(rawValue: 0): throw Self.impossible("its last result is \(completion.res)")
            case let code: self = .failed(code)
            }
            return
        }
        let mask = UInt64.max << cdm_IORING_ZCRX_AREA_SHIFT
        let offset = completion.off & ~mask
        guard completion.off & mask == area.token & mask else {
            throw Self.impossible("offset \(completion.off) is not of this dma-buf")
        }
        guard completion.res > 0, let place = Int(exactly: offset), place < area.size,
            Int(completion.res) <= area.size - place
        else {
            throw Self.impossible(
                "\(completion.res) bytes at \(offset) are not in a dma-buf of \(area.size)")
        }
        self = .fragment(
            ZerocopyFragment(offset: area.start + place, length: Int(completion.res)))
    }

    private static func impossible(_ text: String) -> DevmemError {
        DevmemError(.malformed, call: "receive by io_uring", message: text)
    }
}
