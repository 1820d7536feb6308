import CDevmem
import Glibc
import SystemPackage

/// AMD's HIP runtime, loaded at run time, so that hosts without a GPU need none of it. It has not been
/// tested on hardware.
package final class ROCmDriver: Sendable {
    /// The names that the dynamic linker finds it by, of ROCm 7, 6 and 5.
    package static let libraries = ["libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5"]

    /// The library beneath it, which exports dma-bufs before ROCm 7.
    private static let runtime = "libhsa-runtime64.so.1"

    /// What can export a dma-buf (`hsa_amd_portable_export_dmabuf` of hsa/hsa_ext_amd.h 1.1).
    static let neededDriver = "ROCm 5.6 or newer"

    /// The library of this process, initialized when it is first used. It stays loaded: it has
    /// threads of its own.
    package static let shared = Result { () throws(DevmemError) in
        var problem: String?
        for name in libraries {
            if let handle = loadDriverLibrary(name) {
                // The runtime is a dependency, in which dlsym(3) searches too, or loaded by its name.
                let runtime = loadDriverLibrary(runtime)
                return try ROCmDriver { name in
                    dlsym(handle, name) ?? runtime.flatMap { dlsym($0, name) }
                }
            }
            problem = problem ?? dlerror().map { String(cString: $0) }
        }
        throw DevmemError(
            .unsupported, call: "load \(libraries[0])", message: problem,
            advice: "install AMD's ROCm; it contains this library, or that of an older version")
    }

    let calls: ROCmCalls
    /// The process that the runtime was initialized in.
    let process = DriverProcess(of: "HIP")

    /// Initializes the runtime.
    ///
    /// - Parameter symbol: returns the address of a function; nil if there is none.
    /// - Throws: `DevmemError` of kind `unsupported` if a function is missing, or if there is no GPU.
    init(symbol: @escaping (String) -> UnsafeMutableRawPointer?) throws(DevmemError) {
        let calls = try ROCmCalls(symbol)
        try calls.check(calls.hipInit(0), "initialize HIP")
        self.calls = calls
    }

    /// Lists the GPUs, as HIP numbers them.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if there is none, `system` if the runtime fails.
    package func gpus() throws(DevmemError) -> [GPU] {
        try process.check("list the GPUs")
        var count: Int32 = 0
        try calls.check(calls.hipGetDeviceCount(&count), "count the GPUs")
        var gpus: [GPU] = []
        for ordinal in 0..<max(0, count) { gpus.append(try gpu(ordinal)) }
        guard !gpus.isEmpty else {
            throw calls.failure(cdm_hipErrorNoDevice, "count the GPUs")
        }
        return gpus
    }

    private func gpu(_ ordinal: Int32) throws(DevmemError) -> GPU {
        let call = "describe GPU \(ordinal)"
        var text = [CChar](repeating: 0, count: 256)
        try calls.check(calls.hipDeviceGetName(&text, Int32(text.count), ordinal), call)
        var gpu = GPU(ordinal: ordinal, device: ordinal, name: stringFromCBuffer(text))
        try calls.check(calls.hipDeviceGetPCIBusId(&text, Int32(text.count), ordinal), call)
        gpu.address = GPU.canonicalAddress(stringFromCBuffer(text)) ?? ""
        var uuid = cdm_hipUUID()
        try calls.check(calls.hipDeviceGetUuid(&uuid, ordinal), call)
        gpu.uuid = Self.uuidText(withUnsafeBytes(of: uuid) { [UInt8]($0) })
        var size = 0
        try calls.check(calls.hipDeviceTotalMem(&size, ordinal), call)
        gpu.memory = UInt64(size)
        gpu.exportsDmabufs = exportsDmabufs
        gpu.findPlace()
        return gpu
    }

    /// Whether the kernel driver exports dma-bufs; those that do not say so may.
    private var exportsDmabufs: Bool {
        guard calls.hipMemGetHandle != nil || calls.hsaExport != nil else { return false }
        guard let ask = calls.hsaSystemInfo else { return true }
        var answer = false
        let result = ask(cdm_HSA_AMD_SYSTEM_INFO_DMABUF_SUPPORTED, &answer)
        return result != cdm_HSA_STATUS_SUCCESS || answer
    }

    /// Formats a UUID as AMD's tools do: the bytes are the 16 digits after `GPU-`. Pure.
    static func uuidText(_ bytes: [UInt8]) -> String {
        let digits = bytes.map { Character(Unicode.Scalar($0)) }
        guard digits.allSatisfy(\.isHexDigit) else { return GPU.uuidText(bytes) }
        return "GPU-" + String(digits)
    }
}

/// The functions of HIP and HSA that are used here, which any thread may call at any time.
struct ROCmCalls: Sendable {
    let hipInit: cdm_hipInit
    let hipGetErrorName: cdm_hipGetErrorName
    let hipGetErrorString: cdm_hipGetErrorString
    let hipGetDeviceCount: cdm_hipGetDeviceCount
    let hipDeviceGetName: cdm_hipDeviceGetName
    let hipDeviceGetUuid: cdm_hipDeviceGetUuid
    let hipDeviceGetPCIBusId: cdm_hipDeviceGetPCIBusId
    let hipDeviceTotalMem: cdm_hipDeviceTotalMem
    let hipGetDevice: cdm_hipGetDevice
    let hipSetDevice: cdm_hipSetDevice
    let hipMemGetInfo: cdm_hipMemGetInfo
    let hipMalloc: cdm_hipMalloc
    let hipFree: cdm_hipFree
    let hipHostRegister: cdm_hipHostRegister
    let hipHostUnregister: cdm_hipHostUnregister
    let hipStreamCreateWithFlags: cdm_hipStreamCreateWithFlags
    let hipStreamSynchronize: cdm_hipStreamSynchronize
    let hipStreamDestroy: cdm_hipStreamDestroy
    let hipMemcpyAsync: cdm_hipMemcpyAsync
    /// Nil before ROCm 7.
    let hipMemGetHandle: cdm_hipMemGetHandleForAddressRange?
    /// Nil before ROCm 5.6.
    let hsaExport: cdm_hsa_amd_portable_export_dmabuf?
    let hsaSystemInfo: cdm_hsa_system_get_info?

    /// Looks the functions up.
    ///
    /// - Parameter symbol: returns the address of a function; nil if there is none.
    /// - Throws: `DevmemError` of kind `unsupported` if one is missing.
    init(_ symbol: @escaping (String) -> UnsafeMutableRawPointer?) throws(DevmemError) {
        let functions = DriverFunctions(
            library: "HIP", needed: "update ROCm; dma-bufs need \(ROCmDriver.neededDriver)",
            symbol: symbol)
        hipInit = try functions.need("hipInit", cdm_hipInit.self)
        hipGetErrorName = try functions.need("hipGetErrorName", cdm_hipGetErrorName.self)
        hipGetErrorString = try functions.need("hipGetErrorString", cdm_hipGetErrorString.self)
        hipGetDeviceCount = try functions.need("hipGetDeviceCount", cdm_hipGetDeviceCount.self)
        hipDeviceGetName = try functions.need("hipDeviceGetName", cdm_hipDeviceGetName.self)
        hipDeviceGetUuid = try functions.need("hipDeviceGetUuid", cdm_hipDeviceGetUuid.self)
        hipDeviceGetPCIBusId = try functions.need(
            "hipDeviceGetPCIBusId", cdm_hipDeviceGetPCIBusId.self)
        hipDeviceTotalMem = try functions.need("hipDeviceTotalMem", cdm_hipDeviceTotalMem.self)
        hipGetDevice = try functions.need("hipGetDevice", cdm_hipGetDevice.self)
        hipSetDevice = try functions.need("hipSetDevice", cdm_hipSetDevice.self)
        hipMemGetInfo = try functions.need("hipMemGetInfo", cdm_hipMemGetInfo.self)
        hipMalloc = try functions.need("hipMalloc", cdm_hipMalloc.self)
        hipFree = try functions.need("hipFree", cdm_hipFree.self)
        hipHostRegister = try functions.need("hipHostRegister", cdm_hipHostRegister.self)
        hipHostUnregister = try functions.need("hipHostUnregister", cdm_hipHostUnregister.self)
        hipStreamCreateWithFlags = try functions.need(
            "hipStreamCreateWithFlags", cdm_hipStreamCreateWithFlags.self)
        hipStreamSynchronize = try functions.need(
            "hipStreamSynchronize", cdm_hipStreamSynchronize.self)
        hipStreamDestroy = try functions.need("hipStreamDestroy", cdm_hipStreamDestroy.self)
        hipMemcpyAsync = try functions.need("hipMemcpyAsync", cdm_hipMemcpyAsync.self)
        hipMemGetHandle = functions.find(
            "hipMemGetHandleForAddressRange", cdm_hipMemGetHandleForAddressRange.self)
        hsaExport = functions.find(
            "hsa_amd_portable_export_dmabuf", cdm_hsa_amd_portable_export_dmabuf.self)
        hsaSystemInfo = functions.find("hsa_system_get_info", cdm_hsa_system_get_info.self)
    }

    /// Throws if a call failed.
    func check(_ result: UInt32, _ call: @autoclosure () -> String) throws(DevmemError) {
        guard result != cdm_hipSuccess else { return }
        throw failure(result, call())
    }

    /// Describes a failed call in the runtime's words.
    func failure(_ result: UInt32, _ call: String) -> DevmemError {
        var words = [hipGetErrorName(result), hipGetErrorString(result)].compactMap {
            $0.map { String(cString: $0) }
        }
        if words.isEmpty { words.append("HIP error \(result)") }
        let message = words.joined(separator: ": ")
        switch result {
        case cdm_hipErrorNoDevice:
            return DevmemError(
                .unsupported, call: call, message: message,
                advice:
                    """
                    rocminfo lists the GPUs; their user needs the groups render and video, and \
                    ROCR_VISIBLE_DEVICES may hide them
                    """)
        case cdm_hipErrorNotSupported:
            return DevmemError(.unsupported, call: call, message: message)
        case cdm_hipErrorOutOfMemory:
            return DevmemError(.system, call: call, errno: .noMemory, message: message)
        default: return DevmemError(.system, call: call, message: message)
        }
    }
}
