import Testing

@testable import DevmemCore

/// A socket that listens on loopback, at a port that the kernel chooses.
func listenOnLoopback() throws -> Listener {
    let loopback = try #require(IPAddress(bytes: [127, 0, 0, 1]))
    let listener = try Listener(binding: Endpoint(address: loopback, port: 0))
    try listener.listen()
    return listener
}

/// Connects, and leaves the connection to the caller.
func connected(to endpoint: Endpoint) throws -> Connection {
    try StopHolder(StopSignal()).connect(to: endpoint, milliseconds: 5000)
}
