import Glibc
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
