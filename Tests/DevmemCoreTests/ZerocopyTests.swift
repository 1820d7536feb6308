import CDevmem
import Testing

@testable import DevmemCore

/// Completions and rings of io_uring, with every number that a kernel should not give.
@Suite struct ZerocopyTests {
    private static let size: UInt64 = 1 << 20
    private static let token: UInt64 = 3 << 48

    private func read(
        _ result: Int32, more: Bool = true, at offset: UInt64 = Self.token,
        size: Int = Int(Self.size),
        from start: Int = 0
    ) throws -> ZerocopyCompletion {
        var completion = cdm_io_uring_cqe()
        completion.res = result
        completion.flags = more ? cdm_IORING_CQE_F_MORE : 0
        completion.off = offset
        return try ZerocopyCompletion(
            completion, ZerocopyArea(token: Self.token, start: start, size: size))
    }

    @Test func aFragmentIsAPlaceInTheMemory() throws {
        #expect(
            try read(1448, at: Self.token | 4160)
                == .fragment(ZerocopyFragment(offset: 4160, length: 1448)))
        #expect(
            try read(1, at: Self.token | (Self.size - 1))
                == .fragment(ZerocopyFragment(offset: Int(Self.size) - 1, length: 1)))
        #expect(
            try read(Int32(Self.size))
                == .fragment(ZerocopyFragment(offset: 0, length: Int(Self.size))))
    }

    /// The kernel gives a queue back in the background; it may never.
    @Test(.timeLimit(.minutes(1))) func aQueueIsWaitedForUntilTheLimit() {
        var looks = 0
        let isFree = ZerocopyQueue.becomesFree(within: .seconds(30)) {
            looks += 1
            return looks < 5
        }
        #expect(isFree && looks == 5)
        #expect(!ZerocopyQueue.becomesFree(within: .milliseconds(30)) { true })
        #expect(ZerocopyQueue.becomesFree(within: .zero) { false })
    }

    private static let outside: [(Int32, UInt64)] = [
        // Beyond the end, at it, and far beyond.
        (2, token | 0xFFFFF), (1, token | 0x100000), (1, token | 0xFFFF_FFFF_FFFF),
        (.max, token | 1),
        // Of no length, or less.
        (0, token), (-1, token), (.min, token), (-12, token),
        // Of another dma-buf.
        (1, 0), (1, 0x2_0000_0000_0000), (1, .max), (1, 0x8000_0000_0000_0000),
    ]

    @Test(arguments: outside)
    func aFragmentOutsideTheMemoryIsRefused(result: Int32, offset: UInt64) {
        #expect { try read(result, at: offset) } throws: {
            ($0 as? DevmemError)?.kind == .malformed
        }
    }

    /// Each queue's offsets begin at 0.
    @Test func aFragmentIsInThePartOfItsQueue() throws {
        let fragment = ZerocopyFragment(offset: 5 * Int(Self.size) + 4160, length: 1448)
        let area = ZerocopyArea(
            token: Self.token, start: 5 * Int(Self.size), size: Int(Self.size))
        #expect(
            try read(1448, at: Self.token | 4160, from: area.start) == .fragment(fragment))
        #expect(area.place(of: fragment) == Self.token | 4160)
        #expect(
            throws: DevmemError.self,
            performing: { try read(1, at: Self.token | Self.size, from: area.start) })
    }

    /// Only receive queues that io_uring has count, and a queue may have no NAPI instance.
    @Test func napiInstancesLeadToQueues() {
        let queues = [
            QueueInfo(id: 7, type: .rx, napiID: 70), QueueInfo(id: 6, type: .rx, napiID: 60),
            QueueInfo(id: 6, type: .tx, napiID: 61), QueueInfo(id: 5, type: .rx, napiID: 50),
            QueueInfo(id: 4, type: .rx),
        ]
        #expect(ZerocopyQueues.places(of: [4, 6, 7], in: queues) == [60: 1, 70: 2])
        #expect(ZerocopyQueues.places(of: [], in: queues) == [:])
    }

    @Test func eachQueueTakesADmabuf() {
        #expect(ZerocopySupport.obstacle(queues: 2, parts: 2) == nil)
        #expect(
            ZerocopySupport.obstacle(queues: 2, parts: 1)
                == "it takes a dma-buf for each of 2 queues, not 1")
    }

    @Test(arguments: [0, 1, Int.max])
    func noSizeOfTheMemoryTraps(size: Int) throws {
        let isThere = size > 4096
        let result = try? read(8, at: Self.token | 4096, size: size)
        #expect(
            result == (isThere ? .fragment(ZerocopyFragment(offset: 4096, length: 8)) : nil))
    }

    @Test func theLastCompletionSaysWhy() throws {
        #expect(try read(0, more: false) == .end)
        #expect(try read(-28, more: false) == .full)
        #expect(try read(-12, more: false) == .outside)
        #expect(try read(-104, more: false) == .failed(.connectionReset))
        #expect(try read(-14, more: false, at: .max) == .failed(.badAddress))
        #expect(try read(.min, more: false) == .failed(.init(rawValue: .min)))
        #expect { try read(1, more: false) } throws: {
            ($0 as? DevmemError)?.kind == .malformed
        }
        #expect { try read(.max, more: false) } throws: {
            ($0 as? DevmemError)?.kind == .malformed
        }
    }

    private func ring(
        _ head: UInt32 = 0, _ tail: UInt32 = 4, _ entries: UInt32 = 64, _ count: UInt32 = 8,
        stride: Int = 32, in size: Int = 320, entriesIn room: Int? = nil
    ) -> SharedRing? {
        SharedRing(
            head: head, tail: tail, entries: entries, count: count, stride: stride, in: size,
            entriesIn: room)
    }

    @Test func aRingMustLieInItsMapping() {
        #expect(ring() != nil)
        #expect(ring(in: 319) == nil)
        #expect(ring(0, 4, 72) == nil)
        #expect(ring(320) == nil)
        #expect(ring(317) == nil)
        #expect(ring(0, .max) == nil)
        #expect(ring(0, 4, .max) == nil)
        #expect(ring(0, 4, 64, .max) == nil)
        #expect(ring(0, 4, 64, 1 << 31) == nil)
        #expect(ring(0, 4, 64, 0) == nil)
        #expect(ring(0, 4, 64, 7) == nil)
        #expect(ring(2) == nil)
        #expect(ring(in: 0) == nil)
        #expect(ring(0, 4, 0, 8, stride: 64, in: 64, entriesIn: 512) != nil)
        #expect(ring(0, 4, 0, 8, stride: 64, in: 64, entriesIn: 511) == nil)
    }

    @Test func positionsWrap() throws {
        let shared = try #require(self.ring())
        #expect(shared.index(7) == 7)
        #expect(shared.index(8) == 0)
        #expect(shared.index(.max) == 7)
    }

    private static let sizes: [(UInt64, UInt32?, UInt32)] = [
        (0x400_0000, nil, 16384), (4096, nil, 8192), (.max, nil, 32768), (0, nil, 8192),
        (0x400_0000, 16384, 8192), (0x3C0_0000, nil, 16384), (.max, 0, 32768),
    ]

    @Test(arguments: sizes)
    func theRefillRingHoldsAllBuffers(memory: UInt64, pageSize: UInt32?, entries: UInt32) {
        #expect(ZerocopyInstance.entries(memory: memory, pageSize: pageSize) == entries)
    }

    private static let shares: [(UInt64, UInt32?, UInt32)] = [
        (0, nil, 64), (.max, nil, 4096), (.max, 0, 4096), (1 << 20, nil, 256),
        ((1 << 20) - 1, nil, 128), (1 << 20, 16384, 64), (1 << 21, 16384, 128),
    ]

    @Test(arguments: shares)
    func waitingCompletionsFitInTheShare(share: UInt64, pageSize: UInt32?, count: UInt32) {
        #expect(ZerocopyRing.completions(share: share, pageSize: pageSize) == count)
    }

    private func support(
        _ flags: UInt64 = 1, area: UInt64 = 1, operations: UInt32 = 2, features: UInt32 = 1
    ) -> ZerocopySupport {
        var answer = cdm_io_uring_query_zcrx()
        answer.register_flags = flags
        answer.area_flags = area
        answer.nr_ctrl_opcodes = operations
        answer.features = features
        return ZerocopySupport(answer)
    }

    @Test func whatAKernelLacksIsNamed() {
        #expect(support().obstacle(pageSize: 16384) == nil)
        #expect(support(features: 0).obstacle(pageSize: nil) == nil)
        #expect(support(features: 0).obstacle(pageSize: 16384) != nil)
        #expect(support(2).obstacle(pageSize: nil)?.contains("6.19") == true)
        #expect(support(area: 0).obstacle(pageSize: nil)?.contains("6.19") == true)
        #expect(support(operations: 1).obstacle(pageSize: nil)?.contains("6.19") == true)
        #expect(
            support(.max, area: .max, operations: .max, features: .max)
                .obstacle(pageSize: .max) == nil)
    }

    /// Whether this kernel and its administrator allow io_uring with 32-byte completions.
    static let hasIOUring: Bool = {
        switch try? IORing(completions: 8) {
        case .some: true
        case .none: false
        }
    }()

    /// Requests that do nothing complete at once, in their order.
    @Test(.enabled(if: hasIOUring, "the kernel refuses io_uring"))
    func completionsComeInOrderAndTheRingWraps() throws {
        var ring = try IORing(completions: 16)
        try ring.enable()
        var expected: [UInt64] = []
        var taken: [UInt64] = []
        for round in UInt64(0)..<20 {
            for number in UInt64(0)..<7 {
                var request = cdm_io_uring_sqe()
                request.user_data = round << 32 | number
                try ring.add(request)
                expected.append(request.user_data)
            }
            try ring.enter()
            // What one call leaves comes in the next.
            for limit in [UInt32(5), 16] {
                _ = try ring.takeCompletions(atMost: limit) { taken.append($0.user_data) }
            }
        }
        #expect(taken == expected)
        let left = try ring.takeCompletions(atMost: 16) { _ in }
        #expect(left == 0)
    }

    @Test(.enabled(if: hasIOUring, "the kernel refuses io_uring"))
    func tooManyRequestsAreRefused() throws {
        var ring = try IORing(completions: 16)
        try ring.enable()
        for _ in 0..<8 { try ring.add(cdm_io_uring_sqe()) }
        var refusal: DevmemError?
        do throws(DevmemError) { try ring.add(cdm_io_uring_sqe()) } catch { refusal = error }
        #expect(refusal?.kind == .invalid)
    }
}
