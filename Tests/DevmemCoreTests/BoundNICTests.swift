import Glibc
import Testing

@testable import DevmemCore

/// What a bound NIC does without a NIC: lo has no queues that could be steered.
@Suite struct BoundNICTests {
    private func memory() throws(DevmemError) -> DmabufMemory {
        // Nothing looks into the descriptor before the kernel does.
        DmabufMemory(
            descriptor: Descriptor(owning: try retrying("open") { open("/dev/null", O_RDWR) }),
            length: 4096)
    }

    @Test(arguments: [
        BindRequest(queues: .unsteered(.automatic(1))),
        BindRequest(queues: .steered(SteeringRequest(queues: .automatic(1), flows: []))),
        BindRequest(transmits: true),
    ])
    func whatIsNoNICIsRefused(request: BindRequest) throws {
        let loopback = try NetworkInterface(named: "lo")
        var refusal: DevmemError?
        do throws(DevmemError) {
            _ = try BoundNIC(binding: try memory(), to: loopback, request, logger: .silent)
        } catch {
            refusal = error
        }
        #expect(refusal?.kind == .invalid)
        #expect(refusal?.description.contains("lo") == true)
    }

    /// Threads may still read what they have.
    @Test func memoryStaysForWhoeverHasIt() throws {
        let nic = try BoundNIC(
            binding: try memory(), to: NetworkInterface(named: "lo"), BindRequest(),
            logger: .silent)
        #expect(nic.queues.isEmpty && nic.unboundQueues.isEmpty && nic.notes.isEmpty)
        #expect(nic.watchDescriptor == -1)
        #expect(nic.memory.receiveID == nil && nic.memory.transmitID == nil)
        #expect(nic.memory.id == 0)
        var kept: BoundMemory? = nic.memory
        weak let watched = kept
        #expect(try nic.release() == SteeringRestoration())
        #expect(kept?.dmabuf.size == 4096)
        kept = nil
        #expect(watched == nil)
    }

    /// Of what the NIC was not steered for no reason is known.
    @Test func placementOfAnUnsteeredStreamHasNoReason() throws {
        let nic = try BoundNIC(
            binding: try memory(), to: NetworkInterface(named: "lo"), BindRequest(),
            logger: .silent)
        var counts = ReceiveCounts()
        counts.ordinaryBytes = 1
        let placement = nic.placement(of: counts, in: MisplacedStream())
        #expect(placement.verdict == .host && placement.reason == nil)
        #expect(nic.placement(of: ReceiveCounts(), in: never()).verdict == .nothing)
    }

    /// It costs a system call, and is asked for only if payload went astray.
    private func never() -> MisplacedStream {
        Issue.record("nobody needs this")
        return MisplacedStream()
    }
}
