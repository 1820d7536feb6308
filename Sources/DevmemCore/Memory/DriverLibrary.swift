import CDevmem
import Glibc

/// Loads a GPU's driver library.
///
/// - Parameter name: the name that the dynamic linker finds it by.
/// - Returns: its handle; nil if it cannot be loaded (dlerror(3)).
func loadDriverLibrary(_ name: String) -> UnsafeMutableRawPointer? {
    forgetDriverVariables()
    return dlopen(name, RTLD_NOW | RTLD_LOCAL)
}

/// Removes the environment variables that drivers of GPUs read if the caller has fewer privileges than
/// this program, as with a file capability. The drivers trust them even then, and load libraries that
/// they name (CUDA_INJECTION64_PATH, HSA_TOOLS_LIB).
private func forgetDriverVariables() {
    var names: [String] = []
    var entry = cdm_environment()
    while let text = entry?.pointee {
        let name = String(cString: text).prefix { $0 != "=" }
        if isOfDriver(name) { names.append(String(name)) }
        entry = entry?.successor()
    }
    for name in names where cdm_secure_getenv(name) == nil { unsetenv(name) }
}

/// Whether the driver of a GPU may take more than the choice of a GPU from an environment variable.
/// Pure.
func isOfDriver(_ name: Substring) -> Bool {
    let harmless: Set<Substring> = [
        "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES",
        "GPU_DEVICE_ORDINAL",
    ]
    let makers = ["CUDA", "NV", "HSA", "HIP", "ROC", "AMD", "GPU"]
    return !harmless.contains(name) && makers.contains { name.hasPrefix($0) }
}

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
