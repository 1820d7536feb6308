import Glibc

/// The functions of a GPU's driver library, which is loaded at run time.
struct DriverFunctions {
    /// What has them, for errors.
    let library: String
    /// What has all of them.
    let needed: Advice
    /// Returns the address of a function; nil if there is none.
    let symbol: (String) -> UnsafeMutableRawPointer?

    /// Looks up a function that may be missing.
    func find<Call>(_ name: String, _: Call.Type) -> Call? {
        symbol(name).map { unsafeBitCast($0, to: Call.self) }
    }

    /// Looks up a function.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if it is missing.
    func need<Call>(_ name: String, _ type: Call.Type) throws(DevmemError) -> Call {
        if let call = find(name, type) { return call }
        throw DevmemError(
            .unsupported, call: "use \(library)", message: "it has no \(name)", advice: needed)
    }
}

/// The process that a GPU's driver library was initialized in. It does not work in a child of fork(2),
/// where its use would damage what the parent has.
struct DriverProcess: Sendable {
    /// What was initialized, for errors.
    let library: String
    private let number = getpid()

    init(of library: String) {
        self.library = library
    }

    /// Whether this is the process.
    var isThis: Bool { getpid() == number }

    /// Refuses another process.
    ///
    /// - Throws: `DevmemError` of kind `invalid`.
    func check(_ call: @autoclosure () -> String) throws(DevmemError) {
        guard !isThis else { return }
        throw DevmemError(
            .invalid, call: call(),
            message: "\(library) was initialized before this process was forked")
    }
}

extension DevmemError {
    /// Returns the error of a GPU that has too little memory, with what is free.
    ///
    /// - Parameters:
    ///   - tool: the program that shows who uses the GPU.
    ///   - ask: sets the free and all bytes of the GPU; false if they are unknown.
    /// - Returns: the error.
    func ofFullGPU(shownBy tool: String, _ ask: (inout Int, inout Int) -> Bool) -> DevmemError {
        var (free, total) = (0, 0)
        var error = self
        if ask(&free, &total) {
            error.message = "\(free) of the GPU's \(total) bytes are free"
        }
        return error.advising(
            "choose a smaller \(.memory), or end another program on the GPU; \(tool) shows them")
    }
}
