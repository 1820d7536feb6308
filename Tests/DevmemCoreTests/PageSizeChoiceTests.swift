import SystemPackage
import Testing

@testable import DevmemCore

@Suite struct PageSizeChoiceTests {
    private static let cases: [(PageSizeChoice, UInt64, UInt64, [UInt32?])] = [
        (.onePage, 64 << 20, 256, [nil]),
        (.bytes(16384), 1, .max, [16384]),
        (.automatic, 64 << 20, 256, [65536, 32768, 16384, nil]),
        (.automatic, 64 << 20, 512, [65536, 32768, 16384, nil]),
        (.automatic, 64 << 20, 513, [32768, 16384, nil]),
        (.automatic, 64 << 20, 1025, [16384, nil]),
        (.automatic, 64 << 20, 2049, [nil]),
        // Of unknown rings.
        (.automatic, 64 << 20, 0, [32768, 16384, nil]),
        (.automatic, 128 << 20, 0, [65536, 32768, 16384, nil]),
        // Not of whole huge pages.
        (.automatic, (64 << 20) + 4096, 256, [nil]),
        (.automatic, 0, 0, [nil]), (.automatic, .max, .max, [nil]),
        (.automatic, 1 << 40, .max, [nil]),
    ]

    @Test(arguments: cases)
    func largeBuffersLeaveRoomForPayload(
        choice: PageSizeChoice, memory: UInt64, ring: UInt64, sizes: [UInt32?]
    ) {
        #expect(choice.candidates(memory: memory, ring: ring) == sizes)
    }

    @Test func onlyARefusalOfTheSizeLeadsToTheNext() {
        func isRefusal(_ code: Errno?, _ kind: DevmemError.Kind = .netlink) -> Bool {
            PageSizeChoice.isRefusal(DevmemError(kind, call: "bind-rx on eth1", errno: code))
        }
        #expect(isRefusal(.invalidArgument) && isRefusal(.notSupported) && isRefusal(.noMemory))
        #expect(isRefusal(nil, .unsupported))
        #expect(
            !isRefusal(.notPermitted) && !isRefusal(.resourceBusy)
                && !isRefusal(.noSuchAddressOrDevice))
        #expect(!isRefusal(nil, .invalid) && !isRefusal(nil, .malformed))
    }

    @Test func aRefusalOfTheSizeIsExplained() {
        func advice(_ code: Errno, _ size: UInt32?) -> String? {
            DevmemError(.netlink, call: "bind-rx on eth1", errno: code, advice: "do something")
                .explainingBufferSize(size).advice?.description
        }
        #expect(advice(.outOfRange, 256 << 10)?.contains("buffers of 256K") == true)
        #expect(advice(.invalidArgument, 16384)?.contains("buffers of 16K") == true)
        for (code, size) in [
            (Errno.outOfRange, nil), (.outOfRange, 4096), (.resourceBusy, 16384),
            (.noMemory, 16384),
        ] as [(Errno, UInt32?)] {
            #expect(advice(code, size) == "do something")
        }
    }
}
