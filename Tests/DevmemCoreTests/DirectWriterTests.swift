import CDevmem
import Glibc
import Testing

@testable import DevmemCore

/// Creates an unnamed file.
private func makeFile() throws -> Descriptor {
    var template = Array("/var/tmp/devmemtcp-test-XXXXXX".utf8CString)
    let number = template.withUnsafeMutableBufferPointer { buffer in
        buffer.baseAddress.map { mkstemp($0) } ?? -1
    }
    try #require(number >= 0)
    unlink(stringFromCBuffer(template))
    return Descriptor(owning: number)
}

private func contents(_ number: Int32) -> [UInt8] {
    _ = cdm_fcntl(number, F_SETFL, 0)
    lseek(number, 0, SEEK_SET)
    var all: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(number, &buffer, buffer.count)
        guard count > 0 else { return all }
        all += buffer[..<count]
    }
}

/// A range of memory that starts on a page.
private struct Extent {
    var offset: Int
    var count: Int
}

@Suite(.serialized) struct DirectWriterTests {
    /// writev(2) may end within an entry, as on a full disk.
    @Test(arguments: [
        (0, 0, [100, 200]), (60, 60, [40, 200]), (100, 0, [200]), (101, 1, [199]),
        (299, 199, [1]), (300, 0, []),
    ])
    func whatIsWrittenIsNotWrittenAgain(count: Int, part: Int, left: [Int]) throws {
        let memory = try Mapping(anonymous: 4096)
        memory.withUnsafeMutableBytes { bytes in
            var vectors = [
                iovec(iov_base: bytes.baseAddress, iov_len: 100),
                iovec(iov_base: bytes.baseAddress.map { $0 + 100 }, iov_len: 200),
            ]
            #expect(DirectWriter.remove(count, from: &vectors) == part)
            #expect(vectors.map(\.iov_len) == left)
            // The two entries are one range.
            let next = vectors.first?.iov_base
            #expect(next == (left.isEmpty ? nil : bytes.baseAddress.map { $0 + count }))
        }
    }

    /// Writes the ranges, compares the file with them and returns the number of bytes written
    /// directly; nil if this file system does not support direct I/O.
    private func straight(_ extents: [Extent], flushEvery: Int = 7) throws -> UInt64? {
        let memory = try Mapping(anonymous: 8 << 20)
        memory.withUnsafeMutableBytes { bytes in
            for index in 0..<bytes.count { bytes[index] = UInt8(truncatingIfNeeded: index &* 31) }
        }
        let file = try makeFile()
        let isDirect = cdm_fcntl(file.rawValue, F_SETFL, Int(cdm_O_DIRECT)) == 0
        var writer = try DirectWriter(to: file.rawValue, name: "the file")
        var stream: [UInt8] = []
        for (index, extent) in extents.enumerated() {
            try memory.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws in
                let part = UnsafeRawBufferPointer(
                    rebasing: bytes[extent.offset..<extent.offset + extent.count])
                stream += part
                try writer.write(part)
            }
            if index % flushEvery == 0 { try writer.flush() }
        }
        try writer.finish()
        #expect(contents(file.rawValue) == stream)
        return isDirect ? writer.directBytes : nil
    }

    @Test func wholeBlocksAreWrittenDirectly() throws {
        let straight = try straight(
            (0..<1500).map { Extent(offset: (1499 - $0) * 4096, count: 4096) }, flushEvery: 1200)
        #expect(straight == nil || straight == 1500 * 4096)
    }

    @Test func whatIsNotAlignedIsCopied() throws {
        // As a segment of 8948 bytes arrives: two blocks and part of another.
        let straight = try straight([
            Extent(offset: 0, count: 8948), Extent(offset: 12288, count: 4096),
            Extent(offset: 16384, count: 100),
        ])
        #expect(straight == nil || straight == 8192)
    }

    @Test func directWritingResumesAtABlockBoundary() throws {
        let straight = try straight([
            Extent(offset: 0, count: 4096), Extent(offset: 8192, count: 4000),
            Extent(offset: 5, count: 96), Extent(offset: 16384, count: 8192),
        ])
        #expect(straight == nil || straight == 4096 + 8192)
    }

    @Test func nothingIsWrittenOfNothing() throws {
        #expect(try straight([]) ?? 0 == 0)
        #expect(try straight([Extent(offset: 3, count: 1)]) ?? 0 == 0)
    }

    @Test func anyExtentsKeepTheirOrder() throws {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<20 {
            let extents = (0..<400).map { _ in
                let isWhole = Bool.random(using: &random)
                let count =
                    isWhole
                    ? 4096 * Int.random(in: 1...4, using: &random)
                    : Int.random(in: 1...9000, using: &random)
                let offset = Int.random(in: 0..<1000, using: &random) * (isWhole ? 4096 : 511)
                return Extent(offset: offset, count: count)
            }
            _ = try straight(extents)
        }
    }

    @Test func refusalIsReportedByName() throws {
        let reading = try Descriptor.open("/proc/self/exe", O_RDONLY)
        var refused = try DirectWriter(to: reading.rawValue, name: "itself")
        let memory = try Mapping(anonymous: 4096)
        #expect {
            try memory.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) throws in
                try refused.write(bytes)
                try refused.flush()
            }
        } throws: {
            ($0 as? DevmemError)?.description.hasPrefix("write to itself: Bad file descriptor")
                ?? false
        }
    }
}
