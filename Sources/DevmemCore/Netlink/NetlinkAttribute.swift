import CDevmem

/// Bits of an attribute's type field (linux/netlink.h).
enum AttributeFlag {
    static let nested = cdm_NLA_F_NESTED
    static let typeMask = cdm_NLA_TYPE_MASK
}

/// The attributes of a netlink message or nest, copied so that they outlive it.
package struct NetlinkAttributes: Sendable {
    /// One attribute's payload.
    struct Value: Sendable, Equatable {
        let type: UInt16
        let payload: ArraySlice<UInt8>

        /// An unsigned integer of 1, 2, 4 or 8 bytes in host order; nil for any other length.
        var unsigned: UInt64? {
            switch payload.count {
            case 1: UInt64(payload[payload.startIndex])
            case 2: UInt64(payload.number16(at: payload.startIndex))
            case 4: UInt64(payload.number32(at: payload.startIndex))
            case 8: payload.number64(at: payload.startIndex)
            default: nil
            }
        }

        /// A string up to its terminating zero byte.
        var string: String { String(decoding: payload.prefix { $0 != 0 }, as: UTF8.self) }

        /// An array of 4-byte integers in host order; excess bytes are dropped.
        var words: [UInt32] {
            stride(from: payload.startIndex, to: payload.endIndex - 3, by: 4).map {
                payload.number32(at: $0)
            }
        }

        /// The attributes inside this one.
        func nested() throws(DevmemError) -> NetlinkAttributes {
            try NetlinkAttributes(payload)
        }
    }

    let values: [Value]

    /// Parses attributes. A length that exceeds the input is an error; trailing padding is not.
    init(_ bytes: ArraySlice<UInt8>) throws(DevmemError) {
        var values: [Value] = []
        var offset = bytes.startIndex
        while bytes.endIndex - offset >= cdm_nlattr_size {
            let length = Int(bytes.number16(at: offset))
            guard length >= cdm_nlattr_size, length <= bytes.endIndex - offset else {
                throw DevmemError(
                    .malformed, call: "read a netlink attribute",
                    message: "length \(length) with \(bytes.endIndex - offset) bytes left")
            }
            let type = bytes.number16(at: offset + cdm_nlattr_type) & AttributeFlag.typeMask
            values.append(
                Value(type: type, payload: bytes[offset + cdm_nlattr_size..<offset + length]))
            offset = min(offset + alignedToFour(length), bytes.endIndex)
        }
        self.values = values
    }

    /// The first attribute of a type.
    subscript(type: UInt16) -> Value? { values.first { $0.type == type } }

    /// All attributes of a type, in order.
    func all(_ type: UInt16) -> [Value] { values.filter { $0.type == type } }

    /// Returns an integer that fits 32 bits; nil if the attribute is absent or has another form.
    func uint32(_ type: UInt16) -> UInt32? { self[type]?.unsigned.flatMap { UInt32(exactly: $0) } }
}

func alignedToFour(_ length: Int) -> Int { (length + 3) & ~3 }

extension ArraySlice<UInt8> {
    func number16(at offset: Int) -> UInt16 {
        #if _endian(little)
            UInt16(self[offset]) | UInt16(self[offset + 1]) << 8
        #else
            UInt16(self[offset]) << 8 | UInt16(self[offset + 1])
        #endif
    }

    func number32(at offset: Int) -> UInt32 {
        #if _endian(little)
            UInt32(number16(at: offset)) | UInt32(number16(at: offset + 2)) << 16
        #else
            UInt32(number16(at: offset)) << 16 | UInt32(number16(at: offset + 2))
        #endif
    }

    func number64(at offset: Int) -> UInt64 {
        #if _endian(little)
            UInt64(number32(at: offset)) | UInt64(number32(at: offset + 4)) << 32
        #else
            UInt64(number32(at: offset)) << 32 | UInt64(number32(at: offset + 4))
        #endif
    }
}
