package import DevmemCore

/// A socket that listens on loopback, at a port that the kernel chooses.
package func listenOnLoopback() throws -> Listener {
    guard let loopback = IPAddress(bytes: [127, 0, 0, 1]) else {
        throw DevmemError(.invalid, call: "listen")
    }
    let listener = try Listener(binding: Endpoint(address: loopback, port: 0))
    try listener.listen()
    return listener
}

/// Connects, and leaves the connection to the caller.
package func connected(to endpoint: Endpoint) throws -> Connection {
    try SharedStopSignal(StopSignal()).connect(to: endpoint, milliseconds: 5000)
}
