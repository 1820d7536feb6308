import CDevmem
import Glibc
import SystemPackage

/// A network namespace, kept by an open descriptor (setns(2), network_namespaces(7)).
package struct NetworkNamespace: ~Copyable {
    /// Its name or path, as the user gave it.
    package let name: String
    let descriptor: Descriptor

    /// The directory of ip-netns(8).
    private static let directory = "/run/netns"

    /// Opens a namespace.
    ///
    /// - Parameter name: a name of ip-netns(8), or with a slash a path such as `/proc/1234/ns/net`.
    /// - Throws: `DevmemError` of kind `invalid` if the name is empty, `system` with the `errno` of
    ///   open(2).
    package init(_ name: String) throws(DevmemError) {
        guard !name.isEmpty, name != ".", name != ".." else {
            throw DevmemError(
                .invalid, call: "open a network namespace", message: "the name is '\(name)'")
        }
        let path = name.contains("/") ? name : "\(Self.directory)/\(name)"
        do throws(DevmemError) {
            descriptor = try Descriptor.open(path, O_RDONLY)
        } catch {
            guard error.errno == .noSuchFileOrDirectory else { throw error }
            throw error.advising(
                "ip netns lists those with a name; that of a process is /proc/PID/ns/net")
        }
        self.name = name
    }

    /// The namespace of the calling thread.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of open(2).
    package static func current() throws(DevmemError) -> NetworkNamespace {
        try NetworkNamespace("/proc/thread-self/ns/net")
    }

    /// Runs a closure in this namespace: the sockets that it opens stay there.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of setns(2), or what `body` throws.
    package func run<Result: ~Copyable>(
        _ body: () throws(DevmemError) -> Result
    ) throws(DevmemError) -> Result {
        let home = try Self.current()
        try enter()
        let result: Result
        do throws(DevmemError) {
            result = try body()
        } catch {
            try home.enter()
            throw error
        }
        try home.enter()
        return result
    }

    /// Moves the calling thread into this namespace.
    ///
    /// - Throws: `DevmemError` of kind `system` with the `errno` of setns(2).
    package func enter() throws(DevmemError) {
        try retrying("enter the network namespace \(name)") {
            cdm_enter_network_namespace(descriptor.rawValue)
        }
    }
}
