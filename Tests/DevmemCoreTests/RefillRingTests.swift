import CDevmem
import Glibc
import Testing

@testable import DevmemCore

/// Fragments go back to the NIC once each, to the queue that they came from.
@Suite struct RefillRingTests {
    private static let size = 1 << 20
    private static let area = ZerocopyArea(token: 3 << 48, start: size, size: size)

    /// The ring as the kernel sees it: a mapping of the same memory.
    private struct Kernel: ~Copyable {
        let mapping: Mapping
        let places: SharedRing

        var tail: UInt32 { mapping.loadAcquiring(at: places.tail) }

        borrowing func consume(to head: UInt32) { mapping.storeReleasing(head, at: places.head) }

        /// Returns the offset and the length of the entry at an index.
        borrowing func entry(_ index: Int) -> [UInt64] {
            mapping.withUnsafeBytes {
                let entry = $0.loadUnaligned(
                    fromByteOffset: places.entries + index * RefillRing.stride,
                    as: cdm_io_uring_zcrx_rqe.self)
                return [entry.off, UInt64(entry.len)]
            }
        }
    }

    /// Both sides of a ring of 4 entries.
    private struct Sides: ~Copyable {
        var ring: RefillRing
        let kernel: Kernel

        init() throws {
            let size = 4096
            let memory = Descriptor(
                owning: try retrying("memfd_create") { cdm_memfd_create("ring", 0) })
            try retrying("ftruncate") { ftruncate(memory.rawValue, size) }
            let found = SharedRing(
                head: 0, tail: 64, entries: 128, count: 4, stride: RefillRing.stride, in: size)
            let places = try #require(found)
            let ours = try Mapping(memory, count: size)
            let theirs = try Mapping(memory, count: size)
            ring = RefillRing(ours, places, of: RefillRingTests.area)
            kernel = Kernel(mapping: theirs, places: places)
        }
    }

    private func fragments(_ places: Int...) -> [ZerocopyFragment] {
        places.map { ZerocopyFragment(offset: $0, length: 100 + $0 % 4096) }
    }

    @Test func theKernelFindsWhatWasWritten() throws {
        var sides = try Sides()
        #expect(sides.ring.room == 4)
        var given = fragments(Self.size + 4097, Self.size + 8)
        sides.ring.write(&given)
        #expect(given.isEmpty)
        #expect(sides.kernel.tail == 2)
        #expect(sides.ring.room == 2)
        #expect(sides.kernel.entry(0) == [3 << 48 | 4097, 101])
        #expect(sides.kernel.entry(1) == [3 << 48 | 8, 108])
    }

    @Test func whatHasNoRoomStays() throws {
        var sides = try Sides()
        var given = fragments(
            Self.size, Self.size + 1, Self.size + 2, Self.size + 3, Self.size + 4, Self.size + 5)
        sides.ring.write(&given)
        #expect(given == fragments(Self.size + 4, Self.size + 5))
        #expect(sides.ring.room == 0)
        sides.ring.write(&given)
        #expect(given.count == 2 && sides.kernel.tail == 4)
        sides.kernel.consume(to: 1)
        sides.ring.write(&given)
        #expect(given == fragments(Self.size + 5))
        #expect(sides.kernel.tail == 5)
        #expect(sides.kernel.entry(0) == [3 << 48 | 4, 104])
    }

    /// A head before what was written, or behind it by more than the ring holds.
    @Test(arguments: [1, 4, UInt32.max, UInt32.max - 4, 1 << 31])
    func anImpossibleHeadLeavesNoRoom(head: UInt32) throws {
        var sides = try Sides()
        sides.kernel.consume(to: head)
        let unread = 0 &- head
        let room = unread <= 4 ? 4 - Int(unread) : 0
        #expect(sides.ring.room == room)
        var given = fragments(Self.size, Self.size + 1, Self.size + 2, Self.size + 3)
        sides.ring.write(&given)
        #expect(given.count == 4 - room)
    }

    @Test func eachQueueTakesItsOwn() throws {
        var given = fragments(0, 4096, 8192 + 5, 8192, 1, 8192 * 3 - 1, 8192 * 2)
        var runs: [Int: [[ZerocopyFragment]]] = [:]
        try ZerocopyQueues.giveBack(&given, partSize: 8192) { part, run throws(DevmemError) in
            runs[part, default: []].append(run)
            run.removeAll()
        }
        #expect(given.isEmpty)
        #expect(
            runs == [
                0: [fragments(0, 4096), fragments(1)], 1: [fragments(8192 + 5, 8192)],
                2: [fragments(8192 * 3 - 1, 8192 * 2)],
            ])
    }

    @Test func oneRunIsGivenWhole() throws {
        var given = fragments(8192, 8193)
        var calls = 0
        try ZerocopyQueues.giveBack(&given, partSize: 8192) { part, run throws(DevmemError) in
            calls += 1
            #expect(part == 1 && run == fragments(8192, 8193))
            run.removeAll()
        }
        #expect(calls == 1 && given.isEmpty)
        try ZerocopyQueues.giveBack(&given, partSize: 8192) { _, _ in calls += 1 }
        #expect(calls == 1)
    }

    /// What a queue refused is given again later, and what it took is not.
    @Test(arguments: [0, 1, 2]) func whatAQueueRefusesIsKept(refusing part: Int) throws {
        let all = fragments(0, 1, 8192, 8193, 16384, 16385)
        var given = all
        var taken: [ZerocopyFragment] = []
        #expect(throws: DevmemError.self) {
            try ZerocopyQueues.giveBack(&given, partSize: 8192) { place, run throws(DevmemError) in
                if place == part {
                    taken.append(run.removeFirst())
                    throw DevmemError(.malformed, call: "return", message: "full")
                }
                taken += run
                run.removeAll()
            }
        }
        #expect(taken == Array(all[...(2 * part)]))
        #expect(Set(given.map(\.offset)) == Set(all[(2 * part + 1)...].map(\.offset)))
        #expect(given.count == all.count - taken.count)
    }
}
