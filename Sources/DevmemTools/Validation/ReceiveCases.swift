import DevmemCore
import CDevmem
import Glibc
import SystemPackage

extension ValidationCase {
    /// Invalid or unusual receive calls (`tcp_recvmsg_locked` and `tcp_recvmsg_dmabuf` of
    /// net/ipv4/tcp.c). Whatever the kernel returns, no payload may be lost.
    static var receiveCases: [ValidationCase] {
        [
            of("without-flag", "payload in device memory is refused without MSG_SOCK_DEVMEM") {
                stream, number throws(DevmemError) in
                let bound = stream.bound
                return ExpectedRefusal(.badAddress).verdict(on: "recvmsg") {
                    () throws(DevmemError) in
                    _ = try receiveRaw(from: number, bound, flags: 0)
                }
            },
            of("no-room-for-control", "too little room for one control message is refused") {
                stream, number throws(DevmemError) in
                let bound = stream.bound
                let expected = [
                    ExpectedRefusal(Errno(rawValue: KernelErrno.tooSmall)),
                    // Before Linux 6.18.
                    ExpectedRefusal(.badAddress),
                ]
                return ExpectedRefusal.verdict(on: "recvmsg", anyOf: expected) {
                    () throws(DevmemError) in
                    _ = try receiveRaw(from: number, bound, controlSize: 16)
                }
            },
            of("room-for-one", "with room for one control message, one fragment is received") {
                stream, _ throws(DevmemError) in
                let received = try stream.take(controlSize: Int(cdm_cmsg_space_dmabuf))
                try stream.returnTokens(received.tokens)
                return verdict(unless: difference("fragments", received.tokens.count, 1))
            },
            of("byte-by-byte", "a call receives no more than it asks for") {
                stream, _ throws(DevmemError) in
                for _ in 0..<8 {
                    let received = try stream.take(dataSize: 1)
                    try stream.returnTokens(received.tokens)
                    guard received.count == 1 else {
                        return .fail("a call for 1 byte received \(received.count)")
                    }
                }
                return .pass
            },
            of("peek", "MSG_PEEK consumes nothing, and its tokens can be returned") {
                stream, number throws(DevmemError) in
                let flags = DevmemSocketNumber.message | cdm_MSG_PEEK
                guard
                    let peeked = try receiveRaw(
                        from: number, stream.bound, dataSize: 4096, flags: flags)
                else { return .fail("the peek received nothing") }
                let received = try stream.take(dataSize: 4096)
                try stream.returnTokens(peeked.tokens)
                try stream.returnTokens(received.tokens)
                let shared = Set(peeked.tokens).intersection(received.tokens)
                return verdict(
                    unless: difference(
                        "bytes received after the peek", received.count, peeked.count),
                    difference("their places in the dma-buf", received.places, peeked.places),
                    shared.isEmpty ? nil : "token \(shared.min() ?? 0) was issued twice")
            },
        ]
    }

    private static func of(
        _ name: String, _ title: String,
        body: @escaping @Sendable (inout DeviceStream, Int32) throws(DevmemError) -> CaseVerdict
    ) -> ValidationCase {
        onStream("receive-calls", name, title, bytes: streamBytes, body: body)
    }
}

/// The number of payload bytes of a stream in these cases: several fragments.
private let streamBytes: UInt64 = 1 << 15
