import SystemPackage

/// Splits what the kernel sent into messages and reads acknowledgements. Pure: bytes in, values out.
struct NetlinkFrame: Sendable, Equatable {
    /// Message types below the families' (linux/netlink.h).
    static let typeError: UInt16 = 2
    static let typeDone: UInt16 = 3

    static let headerLength = 16

    /// NLM_F_DUMP_INTR of linux/netlink.h: what is dumped changed meanwhile.
    static let flagInterrupted: UInt16 = 0x10

    let type: UInt16
    let flags: UInt16
    let sequence: UInt32
    let payload: ArraySlice<UInt8>

    /// The messages of one datagram, in order.
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
                    type: bytes.number16(at: offset + 4), flags: bytes.number16(at: offset + 6),
                    sequence: bytes.number32(at: offset + 8),
                    payload: bytes[offset + headerLength..<offset + length]))
            offset = min(offset + alignedToFour(length), bytes.count)
        }
        return frames
    }
}

/// The answers to one request, as they come. Pure: bytes in, values out.
struct NetlinkReplies: Sendable {
    /// The request's sequence number; other messages are none of its answers.
    let sequence: UInt32
    private(set) var payloads: [ArraySlice<UInt8>] = []
    /// Whether the kernel says that what it lists changed meanwhile.
    private(set) var isInterrupted = false

    init(sequence: UInt32) {
        self.sequence = sequence
    }

    /// Takes a datagram; returns the acknowledgement or the dump's end once it has come.
    mutating func take(_ datagram: [UInt8]) throws(DevmemError) -> Acknowledgement? {
        for frame in try NetlinkFrame.split(datagram) where frame.sequence == sequence {
            let end = try Acknowledgement(frame)
            // Of an error's flags this bit has no meaning.
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

/// What an acknowledgement says: an error number and, from kernels with extended
/// acknowledgement, a text and the place in the request that it objects to.
struct Acknowledgement: Sendable, Equatable {
    /// NLM_F_CAPPED and NLM_F_ACK_TLVS of linux/netlink.h.
    static let flagCapped: UInt16 = 0x100
    static let flagAttributes: UInt16 = 0x200

    /// enum nlmsgerr_attrs of linux/netlink.h.
    private enum Attribute {
        static let message: UInt16 = 1
        static let offset: UInt16 = 2
        static let missingType: UInt16 = 5
        static let missingNest: UInt16 = 6
    }

    /// Zero, or a positive error number.
    var errno: Int32
    var message: String?
    /// Byte offset into the request of the attribute at fault.
    var offset: Int?
    /// Type of an attribute that the request lacks, and the offset of the nest it belongs in.
    var missingType: UInt16?
    var missingNest: Int?

    /// Reads an NLMSG_ERROR or NLMSG_DONE message; nil for any other.
    init?(_ frame: NetlinkFrame) throws(DevmemError) {
        guard frame.type == NetlinkFrame.typeError || frame.type == NetlinkFrame.typeDone else {
            return nil
        }
        let payload = frame.payload
        if payload.count < 4 {
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

        var start = payload.startIndex + 4
        if frame.type == NetlinkFrame.typeError {
            guard payload.count >= 4 + NetlinkFrame.headerLength else { return }
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

    /// The error for a refused request, or nil where the kernel agreed.
    func error(call: DevmemError.Operation, request: [UInt8], names: AttributeNames) -> DevmemError?
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
            .netlink, call, errno: Errno(rawValue: errno), message: message,
            attribute: attribute)
    }
}
