import SystemPackage
import Testing

@testable import DevmemCore

@Suite struct NetlinkReplyTests {
    /// Builds a message: length, type, flags, sequence, port, payload.
    private func message(type: UInt16, flags: UInt16 = 0, _ payload: [UInt8]) -> [UInt8] {
        let padding = [UInt8](repeating: 0, count: alignedToFour(payload.count) - payload.count)
        return raw(UInt32(16 + payload.count)) + raw(type) + raw(flags) + raw(UInt32(5))
            + raw(UInt32(99)) + payload + padding
    }

    private func attribute(_ type: UInt16, _ payload: [UInt8]) -> [UInt8] {
        raw(UInt16(4 + payload.count)) + raw(type) + payload
            + [UInt8](repeating: 0, count: alignedToFour(payload.count) - payload.count)
    }

    /// A bind-rx request for interface 3, dma-buf 4 and queue 7 of type TX.
    private var request: [UInt8] {
        message(
            type: 0x20, flags: 5,
            [13, 1, 0, 0] + attribute(1, raw(UInt32(3))) + attribute(3, raw(UInt32(4)))
                + attribute(
                    2 | 0x8000, attribute(1, raw(UInt32(7))) + attribute(3, raw(UInt32(1)))))
    }

    private func error(
        _ code: Int32, echo: [UInt8], flags: UInt16, _ attributes: [UInt8]
    ) throws -> DevmemError? {
        let bytes = message(type: 2, flags: flags, raw(code) + echo + attributes)
        let frame = try #require(try NetlinkFrame.split(bytes).first)
        return try Acknowledgement(frame)?.error(
            operation: "bind-rx", request: request, names: NetdevNumber.bindNames)
    }

    /// A driver with the setting always reports the threshold; header split is omitted while
    /// unknown.
    @Test func splitThatIsLeftOutIsUnknown() throws {
        func rings(_ attributes: [UInt8]) throws -> RingSettings {
            RingSettings(try NetlinkAttributes(attributes[...]))
        }
        let threshold = attribute(17, raw(UInt32(0))) + attribute(18, raw(UInt32(1023)))
        let unknown = try rings(threshold)
        #expect(unknown.headerSplit == .unknown)
        #expect(unknown.splitThreshold == 0 && unknown.splitThresholdLimit == 1023)
        #expect(try rings(threshold + attribute(11, [2])).headerSplit == .on)
        #expect(try rings(attribute(11, [1])).headerSplit == .off)
        #expect(try rings(threshold + attribute(11, [9])).headerSplit == .unknown)
        let none = try rings(attribute(5, raw(UInt32(256))))
        #expect(none.headerSplit == nil && none.splitThreshold == nil)
    }

    @Test func splitsADatagram() throws {
        let frames = try NetlinkFrame.split(
            message(type: 0x20, [1, 2, 3]) + message(type: 3, raw(Int32(0))))
        #expect(frames.map(\.type) == [0x20, 3])
        #expect(frames[0].payload == [1, 2, 3])
        #expect(frames[0].sequence == 5)
    }

    @Test(arguments: [0, 15, 200] as [UInt32]) func refusesALengthThatLies(length: UInt32) {
        let bytes = raw(length) + [UInt8](repeating: 0, count: 20)
        #expect(throws: DevmemError.self) { try NetlinkFrame.split(bytes) }
    }

    @Test func agreementIsNoError() throws {
        #expect(try error(0, echo: Array(request[..<16]), flags: 0x100, []) == nil)
    }

    @Test func kernelTextAndAttributeReachTheUser() throws {
        // The queue's type follows the nest's header and the queue's id.
        let place = 16 + 4 + 8 + 8 + 4 + 8
        let attributes =
            attribute(1, Array("designated queue already memory provider bound".utf8) + [0])
            + attribute(2, raw(UInt32(place)))
        let capped = try error(-17, echo: Array(request[..<16]), flags: 0x300, attributes)
        #expect(capped?.errno == .fileExists)
        #expect(capped?.message == "designated queue already memory provider bound")
        #expect(capped?.attribute == "queues.type")
        #expect(
            capped?.description
                == "bind-rx: File exists, designated queue already memory provider bound, "
                + "attribute queues.type")
        let whole = try error(-17, echo: request, flags: 0x200, attributes)
        #expect(whole == capped)
    }

    @Test func missingAttributeIsNamed() throws {
        let nest = 16 + 4 + 8 + 8
        let inNest = try error(
            -22, echo: Array(request[..<16]), flags: 0x300,
            attribute(5, raw(UInt32(1))) + attribute(6, raw(UInt32(nest))))
        #expect(inNest?.attribute == "missing queues.id")
        let outside = try error(
            -22, echo: Array(request[..<16]), flags: 0x300, attribute(5, raw(UInt32(3))))
        #expect(outside?.attribute == "missing fd")
    }

    @Test func offsetsOutsideTheRequestNameNothing() throws {
        for place: UInt32 in [0, 19, 9999, .max] {
            let found = try error(
                -22, echo: Array(request[..<16]), flags: 0x300, attribute(2, raw(place)))
            #expect(found?.attribute == nil)
            #expect(found?.errno == .invalidArgument)
        }
    }

    @Test func theEndOfADumpCarriesAnError() throws {
        let done = try #require(
            try NetlinkFrame.split(message(type: 3, raw(Int32(-19)))).first)
        #expect(try Acknowledgement(done)?.errno == 19)
    }

    @Test func hostileBytesEndInAValueOrAnError() {
        var random = SystemRandomNumberGenerator()
        let whole = message(
            type: 2, flags: 0x200,
            raw(Int32(-22)) + request + attribute(1, [65, 0]) + attribute(2, raw(UInt32(20))))
        var refused = 0
        for _ in 0..<20_000 {
            var bytes = whole
            for _ in 0..<3 {
                let place = Int.random(in: bytes.indices, using: &random)
                bytes[place] = .random(in: .min ... .max, using: &random)
            }
            bytes.removeLast(Int.random(in: 0...8, using: &random))
            do throws(DevmemError) {
                for frame in try NetlinkFrame.split(bytes) {
                    _ = try Acknowledgement(frame)?.error(
                        operation: "bind-rx", request: bytes, names: NetdevNumber.bindNames)
                }
            } catch {
                refused += 1
                #expect(error.kind == .malformed)
            }
        }
        #expect(refused > 0)
    }

    /// NLM_F_DUMP_INTR may be set in any part of a dump, or only in its end.
    @Test func interruptedDumpsAreNoticed() throws {
        func replies(_ flags: [UInt16]) throws -> NetlinkReplies {
            var replies = NetlinkReplies(sequence: 5)
            #expect(try replies.take(message(type: 0x20, flags: 2 | flags[0], [1])) == nil)
            let end = try replies.take(message(type: 3, flags: 2 | flags[1], raw(Int32(0))))
            #expect(end?.errno == 0)
            return replies
        }
        #expect(try !replies([0, 0]).isInterrupted)
        #expect(try replies([0x10, 0]).isInterrupted)
        #expect(try replies([0, 0x10]).isInterrupted)
        #expect(try replies([0, 0x10]).payloads.count == 1)
        // Messages with another sequence number are ignored.
        var others = NetlinkReplies(sequence: 6)
        #expect(try others.take(message(type: 3, flags: 0x12, raw(Int32(0)))) == nil)
        #expect(!others.isInterrupted && others.payloads.isEmpty)
        // In an error message the flag has another meaning.
        var refused = NetlinkReplies(sequence: 5)
        #expect(try refused.take(message(type: 2, flags: 0x110, raw(Int32(-1))))?.errno == 1)
        #expect(!refused.isInterrupted)
    }

    @Test func numbersOfAllSizesAreRead() throws {
        let bytes =
            attribute(1, [200]) + attribute(2, raw(UInt16(60000)))
            + attribute(3, raw(UInt32(4_000_000_000))) + attribute(4, raw(UInt64(1) << 40))
            + attribute(5, [1, 2, 3])
        let values = try NetlinkAttributes(bytes[...])
        #expect(values[1]?.unsigned == 200)
        #expect(values[2]?.unsigned == 60000)
        #expect(values[3]?.unsigned == 4_000_000_000)
        #expect(values[4]?.unsigned == 1 << 40)
        #expect(values.uint32(4) == nil)
        #expect(values[5]?.unsigned == nil)
    }
}

@Suite struct NetlinkMessageTests {
    /// libnl allocates one page per message and does not enlarge it.
    @Test(arguments: [1, 240, 2_048, 16_000]) func messagesGrow(count: Int) throws {
        let message = try ReceiveBinding.request(
            family: 0x1f, dmabuf: 9, interface: 3, queues: (0..<UInt32(count)).map { $0 })
        let bytes = message.bytes
        #expect(bytes[...].number32(at: 0) == UInt32(bytes.count))
        #expect(bytes.count == 16 + 4 + 16 + 20 * count)
        let attributes = try NetlinkAttributes(bytes[20...])
        let queues = try attributes.all(2).map { try $0.nested().uint32(1) }
        #expect(queues == (0..<UInt32(count)).map { $0 })
    }

    @Test func tablesOfAnySizeArePutWhole() throws {
        for count in [0, 1, 2_048, 16_382] {
            let table = (0..<UInt32(count)).map { $0 ^ 0x5a5a_5a5a }
            let message = try NetlinkMessage(family: 1, command: 1, version: 1)
            try message.nest(1) { nest throws(DevmemError) in try nest.put(1, UInt32(3)) }
            try message.put(4, words: table)
            let attributes = try NetlinkAttributes(message.bytes[20...])
            #expect(try attributes[1]?.nested().uint32(1) == 3)
            #expect(attributes[4]?.words == table)
        }
    }

    /// An attribute's length has 16 bits.
    @Test func attributesBeyondTheirLengthAreRefused() throws {
        func refusal(
            _ body: (borrowing NetlinkMessage) throws(DevmemError) -> Void
        ) throws -> Errno? {
            let message = try NetlinkMessage(family: 1, command: 1, version: 1)
            do throws(DevmemError) {
                try body(message)
                return nil
            } catch {
                return error.errno
            }
        }
        let words = [UInt32](repeating: 7, count: 16_383)
        #expect(
            try refusal { message throws(DevmemError) in try message.put(4, words: words) }
                == .messageTooLong)
        let text = String(repeating: "x", count: 65_531)
        #expect(
            try refusal { message throws(DevmemError) in try message.put(4, text) }
                == .messageTooLong)
        for (count, errno) in [(8_191, nil), (8_192, Errno.messageTooLong)] {
            #expect(
                try refusal { message throws(DevmemError) in
                    try message.nest(2) { nest throws(DevmemError) in
                        for _ in 0..<count { try nest.put(1, UInt32(7)) }
                    }
                } == errno)
        }
        #expect(
            try refusal { message throws(DevmemError) in
                for _ in 0..<400 { try message.put(4, words: Array(words.dropLast())) }
            } == .messageTooLong)
    }

    @Test func bindRequestIsWhatTheKernelReads() throws {
        let message = try ReceiveBinding.request(
            family: 0x1f, dmabuf: 9, interface: 3, queues: [6, 7])
        let bytes = message.bytes
        let queue6: [UInt8] = [
            0x14, 0, 0x02, 0x80,  // queues, nested
            8, 0, 1, 0, 6, 0, 0, 0,  // id
            8, 0, 3, 0, 0, 0, 0, 0,  // type RX
        ]
        let queue7 = queue6.enumerated().map { $0.offset == 8 ? 7 : $0.element }
        #expect(
            Array(bytes[16...]) == [13, 1, 0, 0]  // bind-rx, version 1
                + [8, 0, 1, 0, 3, 0, 0, 0]  // ifindex
                + [8, 0, 3, 0, 9, 0, 0, 0]  // fd
                + queue6 + queue7)
        #expect(bytes[..<4] == raw(UInt32(bytes.count))[...])
        #expect(bytes[4..<8] == [0x1f, 0, 5, 0])  // family, REQUEST and ACK
    }
}
