import DevmemCore
import CDevmem
import Glibc
import SystemPackage

extension ValidationCase {
    /// Cases on tokens, which return memory to the NIC (`sock_devmem_dontneed` of net/core/sock.c).
    static var tokenCases: [ValidationCase] {
        [
            of("unique", "no memory is delivered twice, and each fragment has its own token") {
                stream, _ throws(DevmemError) in
                var tokens: [UInt32] = []
                var places: [Range<UInt64>] = []
                var left = tokenStreamBytes
                while left > 0 {
                    let received = try stream.receive(dataSize: 1 << 14)
                    tokens += received.tokens
                    places += received.places
                    left -= min(left, UInt64(received.count))
                    if let place = twice(places) {
                        return .fail(
                            "offset \(place) of the dma-buf was delivered twice before its token was "
                                + "returned")
                    }
                    try stream.compare(received)
                }
                try stream.returnTokens(tokens)
                return verdict(
                    unless: difference("number of distinct tokens", Set(tokens).count, tokens.count)
                )
            },
            of("unknown", "a token that was not issued is not counted") {
                stream, number throws(DevmemError) in
                let taken = try returnTokensRaw([(0x7fff_fff0, 1)], on: number)
                return verdict(unless: difference("fragments that the kernel accepted", taken, 0))
            },
            of("double", "a token returned twice is counted once") {
                stream, number throws(DevmemError) in
                let received = try stream.take()
                let first = try received.firstToken
                let once = try returnTokensRaw([(first, 1)], on: number)
                let again = try returnTokensRaw([(first, 1)], on: number)
                try stream.returnTokens(Array(received.tokens.dropFirst()))
                return verdict(
                    unless: difference("fragments that the kernel accepted first", once, 1),
                    difference("fragments that the kernel accepted the second time", again, 0))
            },
            of("too-many-ranges", "more than 128 ranges are refused, and none is accepted") {
                stream, number throws(DevmemError) in
                let received = try stream.take()
                let ranges = [(start: UInt32, count: UInt32)](
                    repeating: (try received.firstToken, 1), count: TokenBatch.maximumRanges + 1)
                let verdict = ExpectedRefusal(.invalidArgument).verdict(on: "a list of 129 ranges")
                {
                    () throws(DevmemError) in _ = try returnTokensRaw(ranges, on: number)
                }
                try stream.returnTokens(received.tokens)
                return verdict
            },
            of("part-of-a-range", "a length that is not a multiple of a range is refused") {
                stream, number throws(DevmemError) in
                let received = try stream.take()
                let first = try received.firstToken
                let verdict = ExpectedRefusal(.invalidArgument).verdict(on: "a truncated list") {
                    () throws(DevmemError) in
                    _ = try returnTokensRaw([(first, 1)], surplus: 4, on: number)
                }
                try stream.returnTokens(received.tokens)
                return verdict
            },
            of("too-many-fragments", "of more than 1024 fragments the rest is not accepted") {
                stream, number throws(DevmemError) in
                let received = try stream.take()
                let first = try received.firstToken
                let beyond = try returnTokensRaw(
                    [(0x4000_0000, UInt32(TokenBatch.maximumFragments)), (first, 1)], on: number)
                let alone = try returnTokensRaw([(first, 1)], on: number)
                try stream.returnTokens(Array(received.tokens.dropFirst()))
                return verdict(
                    unless: difference("fragments accepted after 1024 others", beyond, 0),
                    difference("fragments accepted alone", alone, 1))
            },
            ValidationCase(
                "tokens", "no-tcp", "tokens on a socket that is not TCP are refused",
                needs: [.bindReceive]
            ) { _ throws(DevmemError) in
                let socket = Descriptor(
                    owning: try retrying("open a socket") {
                        Glibc.socket(AF_INET, cdm_SOCK_DGRAM | cdm_SOCK_CLOEXEC, 0)
                    })
                let number = socket.rawValue
                return ExpectedRefusal(.badFileDescriptor).verdict(on: "it") {
                    () throws(DevmemError) in _ = try returnTokensRaw([(1, 1)], on: number)
                }
            },
        ]
    }

    private static func of(
        _ name: String, _ title: String,
        body: @escaping @Sendable (inout DeviceStream, Int32) throws(DevmemError) -> CaseVerdict
    ) -> ValidationCase {
        onStream("tokens", name, title, bytes: tokenStreamBytes, body: body)
    }
}

/// Returns the first offset that two ranges share; nil if none overlap.
private func twice(_ places: [Range<UInt64>]) -> UInt64? {
    let ordered = places.sorted { $0.lowerBound < $1.lowerBound }
    return zip(ordered, ordered.dropFirst()).first { $0.upperBound > $1.lowerBound }?.1.lowerBound
}

/// The number of payload bytes of a stream in these cases: several fragments.
private let tokenStreamBytes: UInt64 = 1 << 16
