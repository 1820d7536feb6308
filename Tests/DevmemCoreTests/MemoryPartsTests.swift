import Glibc
import Synchronization
import Testing

@testable import DevmemCore

/// Several dma-bufs that are mapped as if they were one.
@Suite struct MemoryPartsTests {
    private static let sizes: [(UInt64, Int, UInt64, UInt64)] = [
        (1 << 20, 1, 4096, 1 << 20), (1 << 20, 3, 4096, 1_056_768),
        (1, 2, 4096, 8192), (0, 2, 4096, 0), (.max, 2, 4096, .max), (5, 0, 4096, 4096),
        (5, .max, 4096, 5), (6 << 20, 2, 2 << 20, 8 << 20),
    ]

    @Test(arguments: sizes)
    func sizesAreRoundedUpToWholePages(size: UInt64, parts: Int, page: UInt64, whole: UInt64) {
        #expect(DmabufMemory.size(size, parts: parts, page: page) == whole)
    }

    @Test func furtherMemoryIsNotTheSame() {
        #expect(MemoryProvider.descriptor(3).forMore == .automatic)
        #expect(MemoryProvider.socket("/run/x").forMore == .automatic)
        for own in [MemoryProvider.automatic, .hugePages(1 << 30), .cuda(.number(1))] {
            #expect(own.forMore == own)
        }
        #expect(MemoryProvider.cuda(.nearest).wholePages(1) == 2 << 20)
        #expect(MemoryProvider.hugePages(1 << 30).wholePages(5) == 1 << 30)
        #expect(MemoryProvider.udmabuf.wholePages(8193) == 12288)
    }

    @Test func mappingsAreMovedIntoOne() throws {
        let page = Int(systemPageSize)
        var whole = try Mapping(reserving: 4 * page, alignment: 2 << 20)
        for place in 0..<4 {
            let part = try Mapping(anonymous: page)
            part.withUnsafeMutableBytes { $0[1] = UInt8(place + 1) }
            try whole.place(part, at: place * page)
        }
        whole.withUnsafeBytes { bytes in
            #expect(Int(bitPattern: bytes.baseAddress) % (2 << 20) == 0)
            #expect((0..<4).map { bytes[$0 * page + 1] } == [1, 2, 3, 4])
        }
    }

    @Test(arguments: [-4096, 4096, 1, .min, .max])
    func aMappingMustFit(offset: Int) throws {
        var whole = try Mapping(reserving: Int(systemPageSize), alignment: Int(systemPageSize))
        #expect(throws: DevmemError.self) {
            try whole.place(try Mapping(anonymous: Int(systemPageSize)), at: offset)
        }
    }

    @Test func tooMuchIsRefused() {
        #expect(throws: DevmemError.self) { _ = try Mapping(reserving: .max, alignment: 4096) }
    }
}

/// Memory that only a device has: what is read is copied out before, what is written is copied in
/// afterwards, and nothing else.
@Suite struct DeviceCopiesTests {
    /// A device whose memory is an array.
    private final class Device: DeviceCopies {
        let bytes: Mutex<[UInt8]>
        let copied = Mutex<[String]>([])
        let failure: DevmemError?

        init(_ bytes: [UInt8], failure: DevmemError? = nil) {
            self.bytes = Mutex(bytes)
            self.failure = failure
        }

        func copyOut(
            _ ranges: [MemoryRange], to host: UnsafeMutableRawBufferPointer
        ) throws(DevmemError) {
            if let failure { throw failure }
            for range in ranges {
                copied.withLock { $0.append("out \(range.offset) \(range.count)") }
                bytes.withLock { bytes in
                    for place in range.offset..<range.offset + range.count {
                        host[place] = bytes[place]
                    }
                }
            }
        }

        func copyIn(
            _ range: MemoryRange, from host: UnsafeRawBufferPointer
        ) throws(DevmemError) {
            if let failure { throw failure }
            copied.withLock { $0.append("in \(range.offset) \(range.count)") }
            bytes.withLock { bytes in
                for place in range.offset..<range.offset + range.count {
                    bytes[place] = host[place]
                }
            }
        }
    }

    private func memory(_ device: Device) throws(DevmemError) -> DmabufMemory {
        DmabufMemory(
            descriptor: try Descriptor.open("/dev/null", O_RDWR),
            length: 4096, device: device)
    }

    @Test func whatIsReadIsCopiedOutBefore() throws {
        let device = Device((0..<4096).map { UInt8(truncatingIfNeeded: $0) })
        let memory = try memory(device)
        let ranges = [MemoryRange(offset: 7, count: 2), MemoryRange(offset: 4095, count: 1)]
        let read = try memory.withDeviceBytes(in: ranges) { [$0[7], $0[8], $0[4095], $0[9]] }
        #expect(read == [7, 8, 255, 0])
        #expect(device.copied.withLock { $0 } == ["out 7 2", "out 4095 1"])
        #expect(try memory.withDeviceBytes { $0[9] } == 9)
    }

    @Test(arguments: [(3, 3), (-1, 0), (100, 10)])
    func whatIsWrittenIsCopiedInAfterwards(reported: Int, copied: Int) throws {
        let device = Device([UInt8](repeating: 0, count: 4096))
        let memory = try memory(device)
        let range = MemoryRange(offset: 100, count: 10)
        try memory.withWritableBytes(in: range, written: { _ in reported }) { bytes in
            #expect(bytes.count == 10)
            for place in 0..<10 { bytes[place] = UInt8(place + 1) }
        }
        let expected = (0..<4096).map { place -> UInt8 in
            (100..<100 + copied).contains(place) ? UInt8(place - 99) : 0
        }
        #expect(device.bytes.withLock { $0 } == expected)
        #expect(device.copied.withLock { $0.count } == (copied > 0 ? 1 : 0))
    }

    @Test func aDeviceThatFailsIsTold() throws {
        let refusal = DevmemError(.system, call: "copy", errno: .ioError)
        let memory = try memory(Device([], failure: refusal))
        #expect(throws: refusal) { try memory.withDeviceBytes { _ in } }
        #expect(throws: refusal) { try memory.withWritableBytes { _ in } }
    }
}
