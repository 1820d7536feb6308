// Binds memory, accepts a connection without the library, and receives it on another thread, which
// keeps the payload for a while, as a program that copies it to a GPU does: handover IFACE PORT
import DevmemCore
import Glibc
import Logging

/// Keeps the payload of the last receive calls before it returns the memory to the NIC.
struct KeepingSink: PayloadSink {
    var kept: [KeptPayload] = []
    var keptBytes = 0
    let needs = PayloadNeeds.extents

    mutating func receive(
        _ payload: inout ReceivedPayload, until stop: borrowing StopSignal
    ) throws(DevmemError) -> Int32? {
        let memory = try payload.keep()
        keptBytes += memory.extents.reduce(0) { $0 + $1.length }
        kept.append(memory)
        // The memory goes back to the NIC when nothing refers to it any more, on any thread.
        if kept.count > 4 { kept.removeFirst() }
        return nil
    }

    /// Returns the rest, and reports errors.
    mutating func finish() throws(DevmemError) {
        for memory in kept { try memory.release() }
        kept = []
    }
}

/// Returns a listening socket, created without the library.
func listen(on port: UInt16) -> Int32 {
    let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    // The port may have had a connection a moment ago.
    var reuse: Int32 = 1
    setsockopt(
        number, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(number, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard number >= 0, bound == 0, Glibc.listen(number, 1) == 0 else { fatalError("no socket") }
    return number
}

/// The arguments and the body of the thread.
final class Work: Sendable {
    let memory: BoundMemory
    let socket: Int32

    init(memory: BoundMemory, socket: Int32) {
        self.memory = memory
        self.socket = socket
    }

    /// Runs in a thread and waits for its end.
    func runInThread() {
        var thread = pthread_t()
        let started = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                print(Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run())
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        guard started == 0 else { fatalError("no thread") }
        pthread_join(thread, nil)
    }

    private func run() -> String {
        do throws(DevmemError) {
            let connection = try Connection(adopting: socket)
            var receiver = PayloadReceiver(memory)
            var sink = KeepingSink()
            let end = try receiver.run(connection, into: &sink, until: StopSignal())
            guard end == .peerClosed else { return "it was stopped" }
            return "\(sink.keptBytes) of \(receiver.counts.bytes) bytes kept for a while"
        } catch {
            return "\(error)"
        }
    }
}

do {
    let interface = try NetworkInterface(named: CommandLine.arguments[1])
    guard let port = UInt16(CommandLine.arguments[2]), let any = IPAddress(text: "0.0.0.0") else {
        fatalError("no port")
    }
    let flow = SteeringFlow(to: Endpoint(address: any, port: port))
    let nic = try BoundNIC(
        binding: DmabufMemory(size: 16 << 20), to: interface,
        BindRequest(
            queues: .steered(SteeringRequest(queues: .automatic(1), flows: [flow])),
            command: "handover"), logger: Logger(label: "handover"))
    let listening = listen(on: port)
    print("listening, queues \(nic.queues)")
    fflush(nil)
    let accepted = accept(listening, nil, nil)
    Work(memory: nic.memory, socket: accepted).runInThread()
    close(listening)
    try nic.release()
} catch {
    print("handover: \(error)")
    exit(1)
}
