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
    // Almost all completions are fragments, and there is one for each packet: what is rare must not
    // keep this from being inlined.
    @inline(__always)
    init(_ completion: cdm_io_uring_cqe, _ area: ZerocopyArea) throws(DevmemError) {
        let mask = UInt64.max << cdm_IORING_ZCRX_AREA_SHIFT
        let place = Int(truncatingIfNeeded: completion.off & ~mask)
        let length = Int(completion.res)
        guard completion.flags & cdm_IORING_CQE_F_MORE != 0,
            (completion.off ^ area.token) & mask == 0, length > 0, place < area.size,
            length <= area.size &- place
        else {
            self = try Self.last(completion, area)
            return
        }
        self = .fragment(ZerocopyFragment(offset: area.start &+ place, length: length))
    }

    /// Reads a completion that is no fragment, the request's last.
    @inline(never)
    private static func last(
        _ completion: cdm_io_uring_cqe, _ area: ZerocopyArea
    ) throws(DevmemError) -> Self {
        guard completion.flags & cdm_IORING_CQE_F_MORE == 0 else {
            throw impossible(
                "\(completion.res) bytes at \(completion.off) are not in a dma-buf of \(area.size)")
        }
        switch Errno(rawValue: 0 &- min(completion.res, 0)) {
        case Errno(rawValue: 0) where completion.res == 0: return .end
        case .noSpace: return .full
        case .noMemory: return .outside
        case Errno(rawValue: 0): throw impossible("its last result is \(completion.res)")
        case let code: return .failed(code)
        }
    }

    private static func impossible(_ text: String) -> DevmemError {
        DevmemError(.malformed, call: "receive by io_uring", message: text)
    }
}
