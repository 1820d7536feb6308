import CDevmem
import SystemPackage

/// A netlink message, split off a datagram. Pure: bytes in, values out.
struct NetlinkFrame: Sendable, Equatable {
    /// Message types below those of the families (linux/netlink.h).
    static let typeError = cdm_NLMSG_ERROR
    static let typeDone = cdm_NLMSG_DONE

    static let headerLength = cdm_nlmsghdr_size

    /// What is dumped changed meanwhile.
    static let flagInterrupted = cdm_NLM_F_DUMP_INTR

    let type: UInt16
    let flags: UInt16
    let sequence: UInt32
    let payload: ArraySlice<UInt8>

    /// Splits a datagram into its messages, in order.
    static func split(_ datagram: [UInt8]) throws(DevmemError) -> [NetlinkFrame] {
        var frames: [NetlinkFrame] = []
        var offset = 0
        let bytes = datagram[...]
        while bytes.count - offset >= headerLength {
            let length = Int(bytes.number32(at: offset))
            guard length >= headerLength, length <= bytes.count - offset else {
                throw DevmemError(
                    .malformed, call: "read a netlink message",
                    message: "length \(length) with \(bytes.count - offset) bytes left")
            }
            frames.append(
                NetlinkFrame(
                    type: bytes.number16(at: offset + cdm_nlmsghdr_type),
                    flags: bytes.number16(at: offset + cdm_nlmsghdr_flags),
                    sequence: bytes.number32(at: offset + cdm_nlmsghdr_seq),
                    payload: bytes[offset + headerLength..<offset + length]))
            offset = min(offset + alignedToFour(length), bytes.count)
        }
        return frames
    }
}

/// Collects the replies to one request. Pure: bytes in, values out.
struct NetlinkReplies: Sendable {
    /// The request's sequence number; messages with another one are ignored.
    let sequence: UInt32
    private(set) var payloads: [ArraySlice<UInt8>] = []
    /// Whether the kernel reports that the objects changed during the dump.
    private(set) var isInterrupted = false

    init(sequence: UInt32) {
        self.sequence = sequence
    }

    /// Processes a datagram; returns the acknowledgement or the end of the dump once it has
    /// arrived.
    mutating func take(_ datagram: [UInt8]) throws(DevmemError) -> Acknowledgement? {
        for frame in try NetlinkFrame.split(datagram) where frame.sequence == sequence {
            let end = try Acknowledgement(frame)
            // The flag has no meaning in NLMSG_ERROR.
            if frame.type != NetlinkFrame.typeError,
                frame.flags & NetlinkFrame.flagInterrupted != 0
            {
                isInterrupted = true
            }
            if let end { return end }
            payloads.append(frame.payload)
        }
        return nil
    }
}

/// An acknowledgement: an errno and, with extended acknowledgements, a message and the attribute of
/// the request that the kernel rejects.
struct Acknowledgement: Sendable, Equatable {
    /// The error holds of the request only its header; attributes follow it.
    static let flagCapped = cdm_NLM_F_CAPPED
    static let flagAttributes = cdm_NLM_F_ACK_TLVS

    /// enum nlmsgerr_attrs of linux/netlink.h.
    private enum Attribute {
        static let message = cdm_NLMSGERR_ATTR_MSG
        static let offset = cdm_NLMSGERR_ATTR_OFFS
        static let missingType = cdm_NLMSGERR_ATTR_MISS_TYPE
        static let missingNest = cdm_NLMSGERR_ATTR_MISS_NEST
    }

    /// 0, or a positive errno.
    var errno: Int32
    var message: String?
    /// The byte offset of the rejected attribute in the request.
    var offset: Int?
    /// The type of an attribute missing from the request, and the offset of its nest.
    var missingType: UInt16?
    var missingNest: Int?

    /// Parses an NLMSG_ERROR or NLMSG_DONE message; nil for any other.
    init?(_ frame: NetlinkFrame) throws(DevmemError) {
        guard frame.type == NetlinkFrame.typeError || frame.type == NetlinkFrame.typeDone else {
            return nil
        }
        let payload = frame.payload
        if payload.count < cdm_nlmsgerr_msg {
            guard frame.type == NetlinkFrame.typeDone else {
                throw DevmemError(
                    .malformed, call: "read a netlink acknowledgement",
                    message: "only \(payload.count) bytes")
            }
            errno = 0
            return
        }
        let code = Int32(bitPattern: payload.number32(at: payload.startIndex))
        errno = code == .min ? .max : abs(code)
        guard frame.flags & Self.flagAttributes != 0 else { return }

        var start = payload.startIndex + cdm_nlmsgerr_msg
        if frame.type == NetlinkFrame.typeError {
            guard payload.count >= cdm_nlmsgerr_msg + NetlinkFrame.headerLength else { return }
            let echoed = Int(payload.number32(at: start))
            let capped = frame.flags & Self.flagCapped != 0
            start += capped ? NetlinkFrame.headerLength : alignedToFour(echoed)
        }
        guard start <= payload.endIndex, start >= payload.startIndex else { return }
        let attributes = try NetlinkAttributes(payload[start...])
        message = attributes[Attribute.message]?.string
        offset = attributes.uint32(Attribute.offset).map { Int($0) }
        missingType = attributes.uint32(Attribute.missingType).flatMap { UInt16(exactly: $0) }
        missingNest = attributes.uint32(Attribute.missingNest).map { Int($0) }
    }

    /// Returns the error for a refused request; nil if it succeeded.
    func error(operation: DevmemError.Operation, request: [UInt8], names: AttributeNames)
        -> DevmemError?
    {
        guard errno != 0 else { return nil }
        var attribute: String?
        if let missingType {
            let path = names.path(missing: missingType, nest: missingNest, in: request)
            attribute = "missing \(path)"
        } else if let offset {
            attribute = names.path(at: offset, in: request)
        }
        return DevmemError(
            .netlink, operation, errno: Errno(rawValue: errno), message: message,
            attribute: attribute)
    }
}
