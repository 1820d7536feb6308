import CDevmem
import Testing

@testable import DevmemCore

/// Builds control messages in the kernel's layout.
struct ControlBytes {
    var bytes: [UInt8] = []

    mutating func add(
        level: Int32 = 1, type: Int32, payload: [UInt8], claimedLength: Int? = nil
    ) {
        bytes += raw(UInt64(claimedLength ?? 16 + payload.count)) + raw(level) + raw(type)
        bytes += payload + [UInt8](repeating: 0, count: (8 - payload.count % 8) % 8)
    }

    mutating func addDevice(
        offset: UInt64, size: UInt32, token: UInt32, dmabuf: UInt32 = 7
    ) {
        add(type: 79, payload: raw(offset) + raw(size) + raw(token) + raw(dmabuf) + raw(UInt32(0)))
    }

    mutating func addLinear(size: UInt32) {
        add(type: 78, payload: raw(UInt64(0)) + raw(size) + [UInt8](repeating: 0, count: 12))
    }
}

func raw<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    withUnsafeBytes(of: value) { Array($0) }
}

/// All fragments of a control buffer, of a dma-buf with id 7 and 1 MiB.
func fragments(of bytes: [UInt8]) throws(DevmemError) -> [PayloadFragment] {
    var parser = ControlMessageParser(dmabufID: 7, dmabufSize: 1 << 20)
    var fragments: [PayloadFragment] = []
    while let fragment = try parser.next(in: bytes.span.bytes) { fragments.append(fragment) }
    return fragments
}

@Suite struct ControlMessageTests {
    @Test func numbersAreTheKernels() {
        // asm-generic/socket.h of Linux 6.12.
        #expect(DevmemSocketNumber.linear == 78)
        #expect(DevmemSocketNumber.dmabuf == 79)
        #expect(DevmemSocketNumber.dontNeed == 80)
        #expect(DevmemSocketNumber.message == 0x2000000)
        #expect(cdm_cmsg_space_dmabuf == 40)
    }

    @Test func emptyBufferHasNoFragments() throws {
        #expect(try fragments(of: []).isEmpty)
    }

    @Test func fragmentsComeInStreamOrder() throws {
        var control = ControlBytes()
        control.addLinear(size: 10)
        control.addDevice(offset: 4096, size: 100, token: 3)
        control.addLinear(size: 5)
        control.addDevice(offset: (1 << 20) - 1, size: 1, token: 4)
        #expect(
            try fragments(of: control.bytes) == [
                .linear(length: 10), .device(offset: 4096, length: 100, token: 3),
                .linear(length: 5), .device(offset: (1 << 20) - 1, length: 1, token: 4),
            ])
    }

    @Test func lastMessageNeedsNoPadding() throws {
        var control = ControlBytes()
        control.addDevice(offset: 0, size: 8, token: 1)
        #expect(control.bytes.count == 40)
        #expect(try fragments(of: control.bytes).count == 1)
    }

    @Test(arguments: 1..<40) func cutOffMessageIsRefused(length: Int) {
        var control = ControlBytes()
        control.addDevice(offset: 0, size: 8, token: 1)
        let cut = Array(control.bytes[..<length])
        #expect(throws: DevmemError.self) { try fragments(of: cut) }
    }

    @Test(arguments: [0, 1, 15, 41, 4096, Int.max])
    func lengthThatLiesIsRefused(claimed: Int) {
        var control = ControlBytes()
        control.add(type: 79, payload: [UInt8](repeating: 0, count: 24), claimedLength: claimed)
        let bytes = control.bytes
        #expect { try fragments(of: bytes) } throws: {
            ($0 as? DevmemError)?.message?.hasPrefix("truncated") == true
        }
    }

    @Test(arguments: [(1, 77), (1, 81), (6, 79), (0, 0)] as [(Int32, Int32)])
    func unknownTypeIsRefused(level: Int32, type: Int32) {
        var control = ControlBytes()
        control.add(level: level, type: type, payload: [UInt8](repeating: 0, count: 24))
        let bytes = control.bytes
        #expect { try fragments(of: bytes) } throws: {
            ($0 as? DevmemError)?.message == "unknown type \(type) at level \(level)"
        }
    }

    @Test(arguments: [0, 8, 23, 25, 32]) func wrongPayloadLengthIsRefused(length: Int) {
        var control = ControlBytes()
        control.add(type: 79, payload: [UInt8](repeating: 0, count: length))
        let bytes = control.bytes
        #expect { try fragments(of: bytes) } throws: {
            ($0 as? DevmemError)?.message?.hasPrefix("wrong length") == true
        }
    }

    @Test(
        arguments: [
            (1 << 20, 1), ((1 << 20) - 10, 11), (0, 1 << 20 + 1), (.max, 2), (.max - 1, .max),
        ] as [(UInt64, UInt32)])
    func fragmentOutsideTheBufferIsRefused(offset: UInt64, size: UInt32) {
        var control = ControlBytes()
        control.addDevice(offset: offset, size: size, token: 1)
        let bytes = control.bytes
        #expect { try fragments(of: bytes) } throws: {
            ($0 as? DevmemError)?.message?.hasSuffix("of a dma-buf of 1048576") == true
        }
    }

    @Test func fragmentOfAnotherBufferIsRefused() {
        var control = ControlBytes()
        control.addDevice(offset: 0, size: 1, token: 1, dmabuf: 8)
        let bytes = control.bytes
        #expect { try fragments(of: bytes) } throws: {
            ($0 as? DevmemError)?.message == "a fragment of dma-buf 8, not 7"
        }
    }

    @Test func hostileBytesEndInFragmentsInsideTheBufferOrAnError() {
        var random = SystemRandomNumberGenerator()
        var refused = 0
        for _ in 0..<20_000 {
            var control = ControlBytes()
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                control.addDevice(
                    offset: .random(in: 0..<1 << 20, using: &random),
                    size: .random(in: 0...8192, using: &random),
                    token: .random(in: .min ... .max, using: &random))
            }
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let place = Int.random(in: control.bytes.indices, using: &random)
                control.bytes[place] = .random(in: .min ... .max, using: &random)
            }
            let length = Int.random(in: 0...control.bytes.count, using: &random)
            let bytes = Array(control.bytes[..<length])
            do throws(DevmemError) {
                for case .device(let offset, let length, _) in try fragments(of: bytes) {
                    #expect(offset + UInt64(length) <= 1 << 20)
                }
            } catch {
                refused += 1
                #expect(error.kind == .malformed)
            }
        }
        #expect(refused > 0)
    }
}
