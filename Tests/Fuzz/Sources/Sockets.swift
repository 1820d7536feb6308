import CDevmem
import Glibc
import Logging

@testable import DevmemCore

/// The size in bytes of the memory that fragments are in.
private let memorySize = 1 << 20

/// A connection and memory for receive calls that never happen.
private final class ReceiveScene: Sendable {
    let memory: BoundMemory
    let connection: Connection

    init() throws(DevmemError) {
        memory = BoundMemory(
            DmabufMemory(descriptor: try .open("/dev/null", O_RDWR), length: memorySize),
            receiveID: 7, transmitID: nil)
        let number = try retrying("make a socket") {
            Glibc.socket(AF_INET, cdm_SOCK_STREAM | cdm_SOCK_CLOEXEC, 0)
        }
        connection = Connection(
            owning: Descriptor(owning: number),
            peer: Endpoint(address: IPAddress(four: (192, 0, 2, 2)), port: 5201))
    }
}

private let scene: ReceiveScene? = try? ReceiveScene()

/// What recvmsg(2) returns: how many bytes, and control messages.
func fuzzControlMessages(_ input: FuzzInput) {
    var input = input
    let claimed = Int(input.number(UInt32.self))
    let control = input.bytes
    let fragments = fragmentsOneByOne(control)
    checkPrefixes(control, fragments)
    checkDescriptor(control)
    guard let scene else { fatalError("no socket") }
    // The count that the messages account for, and whatever the input says.
    let sum = fragments?.reduce(0) { $0 + length(of: $1) } ?? 0
    for count in fragments == nil || claimed % 16 == 0 ? [sum, claimed] : [sum] {
        var receiver = PayloadReceiver(scene.memory)
        let isWhole = control.withUnsafeBytes { bytes in
            (try? receiver.collect(count, bytes, scene.memory, scene.connection, listing: true))
                != nil
        }
        if let fragments, control.isEmpty || count == sum, sum < memorySize {
            require(isWhole, "a right call was refused")
            checkPayload(receiver, count, fragments)
        } else {
            require(!isWhole || control.isEmpty || sum == count, "a wrong call was accepted")
        }
    }
}

private func length(of fragment: PayloadFragment) -> Int {
    switch fragment {
    case .device(_, let length, _): Int(length)
    case .linear(let length): Int(length)
    }
}

/// Returns all fragments; nil if they are refused.
private func fragmentsOneByOne(_ control: [UInt8]) -> [PayloadFragment]? {
    var parser = ControlMessageParser(dmabufID: 7, dmabufSize: UInt64(memorySize))
    var fragments: [PayloadFragment] = []
    do throws(DevmemError) {
        while let fragment = try parser.next(in: control.span.bytes) {
            if case .device(let offset, let length, _) = fragment {
                require(offset + UInt64(length) <= UInt64(memorySize), "outside the memory")
            }
            fragments.append(fragment)
        }
        return fragments
    } catch {
        require(error.kind == .malformed, "\(error)")
        return nil
    }
}

/// Each message is read for itself: a shorter buffer has fewer of the same fragments.
private func checkPrefixes(_ control: [UInt8], _ fragments: [PayloadFragment]?) {
    guard let fragments else { return }
    let space = Int(cdm_cmsg_space_dmabuf)
    require(fragments.count == control.count / space, "\(fragments.count) in \(control.count)")
    let half = fragments.count / 2
    require(
        fragmentsOneByOne(Array(control.prefix(half * space))) == Array(fragments.prefix(half)),
        "half of the messages read otherwise")
}

private func checkPayload(
    _ receiver: borrowing PayloadReceiver, _ count: Int, _ fragments: [PayloadFragment]
) {
    var sum = 0
    for extent in receiver.payload.list.extents {
        let size = extent.source == .device ? memorySize : ReceiveBuffers.dataSize
        let isOrdinary = fragments.isEmpty
        require(
            isOrdinary || MemoryRange(offset: extent.offset, count: extent.length).isWithin(size),
            "an extent outside its memory")
        sum += extent.length
    }
    require(sum == count, "extents of \(sum) bytes for \(count)")
    require(receiver.counts.bytes == UInt64(count), "counted \(receiver.counts.bytes) of \(count)")
    let tokens = fragments.compactMap {
        if case .device(_, _, let token) = $0 { token } else { nil }
    }
    let runs = receiver.payload.tokens
    require(runs.flatMap(ids) == tokens, "tokens were lost")
    checkBatches(runs, tokens)
}

private func ids(_ range: TokenBatch.Range) -> [UInt32] {
    (0..<range.count).map { range.start + $0 }
}

/// All tokens are returned, each as often as it came, within the kernel's limits.
private func checkBatches(_ runs: [TokenBatch.Range], _ tokens: [UInt32]) {
    var batch = TokenBatch()
    var runs = runs
    var returned: [UInt32] = []
    func empty(_ batch: inout TokenBatch) {
        require(batch.rangeCount <= TokenBatch.maximumRanges, "too many ranges")
        require(batch.fragmentCount <= TokenBatch.maximumFragments, "too many fragments")
        returned += batch.ranges.flatMap(ids)
        batch.removeAll()
    }
    try? batch.append(&runs) { batch throws(DevmemError) in empty(&batch) }
    empty(&batch)
    require(runs.isEmpty, "\(runs.count) runs remain")
    require(returned.sorted() == tokens.sorted(), "other tokens were returned")
}

/// The message with which a descriptor comes through a unix socket.
private func checkDescriptor(_ control: [UInt8]) {
    for length in [control.count, 0, .max] {
        let number = DescriptorControl.descriptor(in: control.span.bytes, length: length)
        require(number == nil || control.count >= 20, "a descriptor from nowhere")
    }
}

/// What the error queue of a socket returns, and the sends that it completes.
func fuzzErrorQueue(_ input: FuzzInput) {
    var input = input
    let control = input.piece()
    if let completion = try? SendCompletion(readingErrorQueue: control.span.bytes) {
        require(completion.first &+ completion.count == completion.last &+ 1, "\(completion)")
    }
    let first = input.number(UInt32.self)
    var tracker = ZerocopyTracker(firstNumber: first)
    // Whether each send is complete, and the position after it: what the tracker must agree with.
    var sends: [(isDone: Bool, end: UInt64)] = []
    var position: UInt64 = 0
    while !input.isEmpty {
        let step = input.number(UInt8.self)
        guard step >= 64 else {
            position += UInt64(step)
            tracker.sent(upTo: position)
            sends.append((false, position))
            continue
        }
        let start = Int(input.number(Int8.self))
        let count = Int(input.number(Int8.self))
        let completion = SendCompletion(
            first: first &+ UInt32(truncatingIfNeeded: start),
            last: first &+ UInt32(truncatingIfNeeded: start + count - 1), isCopied: false)
        let range = start..<max(start, start + count)
        let isRight =
            count > 0 && start >= 0 && range.upperBound <= sends.count
            && !sends[range].contains(where: \.isDone)
        let isTaken = (try? tracker.complete(completion)) != nil
        require(isTaken == isRight, "\(completion) was \(isTaken ? "taken" : "refused")")
        guard isTaken else { return }
        for place in range { sends[place].isDone = true }
        let freed = sends.prefix(while: \.isDone)
        require(tracker.freed == freed.last?.end ?? 0, "freed up to \(tracker.freed)")
        require(tracker.outstanding == sends.count - freed.count, "\(tracker.outstanding) left")
    }
}

/// What io_uring's zero-copy receive reports, and the rings that it shares.
func fuzzCompletions(_ input: FuzzInput) {
    var input = input
    checkRing(&input)
    let part = Int(input.number(UInt8.self) % 4)
    let size = memorySize << Int(input.number(UInt8.self) % 8)
    let token = UInt64(input.number(UInt16.self)) << cdm_IORING_ZCRX_AREA_SHIFT
    let area = ZerocopyArea(token: token, start: part * size, size: size)
    var fragments: [ZerocopyFragment] = []
    while !input.isEmpty {
        var entry = cdm_io_uring_cqe()
        entry.res = input.number()
        entry.flags = input.number()
        entry.off = input.number(UInt64.self)
        // Half of them are of the area, so that there is payload.
        if entry.user_data & 1 == 0, entry.off & 1 == 0 { entry.off = token | entry.off >> 40 }
        guard let completion = try? ZerocopyCompletion(entry, area) else { continue }
        guard case .fragment(let fragment) = completion else { continue }
        require(fragment.length > 0, "an empty fragment")
        require(
            fragment.offset >= area.start
                && MemoryRange(offset: fragment.offset - area.start, count: fragment.length)
                    .isWithin(size),
            "a fragment outside its part")
        require(area.place(of: fragment) == entry.off, "it returns another place")
        fragments.append(fragment)
    }
    checkExtents(fragments)
    let share = input.number(UInt64.self)
    let page: UInt32? = share & 1 == 0 ? nil : UInt32(truncatingIfNeeded: share >> 32)
    let count = ZerocopyRing.completions(share: share, pageSize: page)
    require((64...ZerocopyRing.completions).contains(count), "\(count) completions")
    let entries = ZerocopyInstance.entries(memory: share, pageSize: page)
    require(entries > 0 && entries & (entries - 1) == 0, "\(entries) entries")
}

/// Whatever the kernel says of a ring, all of it lies in the mapping.
private func checkRing(_ input: inout FuzzInput) {
    let numbers = (0..<4).map { _ in input.number(UInt32.self) & 0x1_ffff }
    let size = Int(input.number(UInt32.self) & 0x3_ffff)
    let stride = 1 << Int(input.number(UInt8.self) % 8)
    let hasRoom = input.number(UInt8.self) & 1 == 1
    let room = hasRoom ? Int(input.number(UInt16.self)) : nil
    guard
        let ring = SharedRing(
            head: numbers[0], tail: numbers[1], entries: numbers[2], count: numbers[3],
            stride: stride, in: size, entriesIn: room)
    else { return }
    require(ring.head + 4 <= size && ring.tail + 4 <= size, "head or tail outside")
    for position in [0, numbers[0], ring.count - 1, ring.count, .max] {
        let end = ring.entries + (ring.index(position) + 1) * stride
        require(end <= room ?? size, "an entry outside")
    }
}

/// Fragments are listed alike whether they come one by one or all at once.
private func checkExtents(_ fragments: [ZerocopyFragment]) {
    var one = PayloadExtents(capacity: 4)
    for fragment in fragments {
        one.append(.device, offset: fragment.offset, length: fragment.length)
    }
    for split in [0, fragments.count / 2] {
        var all = PayloadExtents(capacity: 4)
        var copy = fragments
        copy.withUnsafeMutableBufferPointer {
            all.append(UnsafeMutableBufferPointer(rebasing: $0[..<split]))
            all.append(UnsafeMutableBufferPointer(rebasing: $0[split...]))
        }
        require(all.extents == one.extents, "extents differ")
    }
}
