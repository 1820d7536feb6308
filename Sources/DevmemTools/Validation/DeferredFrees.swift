import DevmemCore
import Glibc

/// Makes the processors free the packets that others have left to them. The kernel frees a packet on
/// the processor that allocated it, which an idle one does when it receives its next packet
/// (`skb_attempt_defer_free` of net/core/skbuff.c, `skb_defer_free_flush` of net/core/dev.c); until
/// then the packet's memory does not return.
///
/// - Returns: the number of processors that received a packet.
@discardableResult
func flushDeferredFrees() -> Int {
    guard let socket = LoopbackDatagram() else { return 0 }
    var reached = 0
    try? Affinity.onEach { if socket.sendToItself() { reached += 1 } }
    return reached
}

/// A datagram socket that is connected to itself on the loopback interface, which delivers a packet
/// on the processor that sends it.
private struct LoopbackDatagram: ~Copyable {
    private let descriptor: Descriptor

    init?() {
        let number = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC | O_NONBLOCK, 0)
        guard number >= 0 else { return nil }
        let descriptor = Descriptor(owning: number)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isConnected = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(number, $0, length) == 0 && getsockname(number, $0, &length) == 0
                    && connect(number, $0, length) == 0
            }
        }
        guard isConnected else { return nil }
        self.descriptor = descriptor
    }

    func sendToItself() -> Bool {
        var byte: UInt8 = 0
        return send(descriptor.rawValue, &byte, 1, 0) == 1
            && recv(descriptor.rawValue, &byte, 1, 0) == 1
    }
}
