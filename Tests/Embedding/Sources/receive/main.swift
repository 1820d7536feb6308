// Receives one TCP connection into device memory and prints a summary: receive IFACE ADDRESS:PORT
import DevmemCore
import Glibc
import Logging

do {
    let interface = try NetworkInterface(named: CommandLine.arguments[1])
    let listener = try Listener(
        binding: Endpoint(resolving: EndpointText(CommandLine.arguments[2])))
    let steering = SteeringRequest(
        queues: .automatic(1), flows: [SteeringFlow(to: listener.endpoint)])
    let stop = try StopSignal.ofUser()
    let nic = try BoundNIC(
        binding: DmabufMemory(size: 64 << 20), to: interface,
        BindRequest(queues: .steered(steering), command: "receive"),
        logger: Logger(label: "receive"))
    try listener.listen()
    print("listening on \(listener.endpoint), queues \(nic.queues)")
    fflush(nil)
    var sum: UInt32 = 1
    var sink = PayloadHandler(needing: .bytes) { payload in
        for extent in payload.extents {
            for byte in payload.bytes(of: extent) { sum = sum &* 31 &+ UInt32(byte) }
        }
    }
    if let connection = try listener.accept(until: stop) {
        var receiver = PayloadReceiver(nic.memory)
        _ = try receiver.run(connection, into: &sink, until: stop)
        print(
            "\(receiver.counts.deviceBytes) of \(receiver.counts.bytes) bytes in device memory, sum \(sum)"
        )
    }
    try nic.release()
} catch {
    print("receive: \(error)")
    exit(1)
}
