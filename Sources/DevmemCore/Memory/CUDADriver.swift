import CDevmem
import Glibc
import SystemPackage

/// NVIDIA's driver library, loaded at run time, so that hosts without a GPU need none of it.
package final class CUDADriver: Sendable {
    /// The name that the dynamic linker finds it by.
    package static let library = "libcuda.so.1"

    /// The library of this process, initialized when it is first used. It stays loaded: it has
    /// threads of its own.
    package static let shared = Result { () throws(DevmemError) in
        guard let handle = loadDriverLibrary(library) else {
            throw DevmemError(
                .unsupported, call: "load \(library)",
                message: dlerror().map { String(cString: $0) },
                advice: "install NVIDIA's driver; it contains this library")
        }
        return try CUDADriver { dlsym(handle, $0) }
    }

    let calls: CUDACalls
    /// The newest version of CUDA that the driver supports, 1000 times the major number and 10 times
    /// the minor one.
    package let version: Int32
    /// The process that the driver was initialized in.
    let process = DriverProcess(of: "CUDA")

    /// Initializes a driver.
    ///
    /// - Parameter symbol: returns the address of a function; nil if there is none.
    /// - Throws: `DevmemError` of kind `unsupported` if a function is missing, or if the driver
    ///   has no GPU.
    init(symbol: @escaping (String) -> UnsafeMutableRawPointer?) throws(DevmemError) {
        let calls = try CUDACalls(symbol)
        try calls.check(calls.cuInit(0), "initialize CUDA")
        var version: Int32 = 0
        try calls.check(calls.cuDriverGetVersion(&version), "read the version of CUDA")
        self.calls = calls
        self.version = version
    }

    /// The version as NVIDIA writes it, such as `12.8`.
    package var versionText: String { "\(version / 1000).\(version % 1000 / 10)" }

    /// Lists the GPUs, as CUDA numbers them.
    ///
    /// - Throws: `DevmemError` of kind `unsupported` if there is none, `system` if the driver fails.
    package func gpus() throws(DevmemError) -> [GPU] {
        try process.check("list the GPUs")
        var count: Int32 = 0
        try calls.check(calls.cuDeviceGetCount(&count), "count the GPUs")
        var gpus: [GPU] = []
        for ordinal in 0..<max(0, count) { gpus.append(try gpu(ordinal)) }
        guard !gpus.isEmpty else {
            throw calls.failure(cdm_CUDA_ERROR_NO_DEVICE, "count the GPUs")
        }
        return gpus
    }

    private func gpu(_ ordinal: Int32) throws(DevmemError) -> GPU {
        let call = "describe GPU \(ordinal)"
        var device: cdm_CUdevice = 0
        try calls.check(calls.cuDeviceGet(&device, ordinal), call)
        var text = [CChar](repeating: 0, count: 256)
        try calls.check(calls.cuDeviceGetName(&text, Int32(text.count), device), call)
        var gpu = GPU(ordinal: ordinal, device: device, name: stringFromCBuffer(text))
        try calls.check(calls.cuDeviceGetPCIBusId(&text, Int32(text.count), device), call)
        gpu.address = GPU.canonicalAddress(stringFromCBuffer(text)) ?? ""
        var uuid = cdm_CUuuid()
        try calls.check(calls.cuDeviceGetUuid(&uuid, device), call)
        gpu.uuid = GPU.uuidText(withUnsafeBytes(of: uuid) { [UInt8]($0) })
        var size = 0
        try calls.check(calls.cuDeviceTotalMem(&size, device), call)
        gpu.memory = UInt64(size)
        let exports = try attribute(cdm_CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED, of: device)
        gpu.exportsDmabufs = exports > 0 && calls.cuMemGetHandleForAddressRange != nil
        gpu.findPlace()
        return gpu
    }

    /// Reads an attribute of a device; 0 if the driver does not know it.
    func attribute(_ attribute: UInt32, of device: cdm_CUdevice) throws(DevmemError) -> Int32 {
        var value: Int32 = 0
        let result = calls.cuDeviceGetAttribute(&value, attribute, device)
        guard result != cdm_CUDA_ERROR_INVALID_VALUE else { return 0 }
        try calls.check(result, "read the properties of a GPU")
        return value
    }
}

/// The functions of the driver that are used here, which any thread may call at any time.
struct CUDACalls: Sendable {
    let cuInit: cdm_cuInit
    let cuDriverGetVersion: cdm_cuDriverGetVersion
    let cuGetErrorName: cdm_cuGetErrorName
    let cuGetErrorString: cdm_cuGetErrorString
    let cuDeviceGetCount: cdm_cuDeviceGetCount
    let cuDeviceGet: cdm_cuDeviceGet
    let cuDeviceGetName: cdm_cuDeviceGetName
    let cuDeviceGetUuid: cdm_cuDeviceGetUuid
    let cuDeviceGetPCIBusId: cdm_cuDeviceGetPCIBusId
    let cuDeviceTotalMem: cdm_cuDeviceTotalMem
    let cuDeviceGetAttribute: cdm_cuDeviceGetAttribute
    let cuDevicePrimaryCtxRetain: cdm_cuDevicePrimaryCtxRetain
    let cuDevicePrimaryCtxRelease: cdm_cuDevicePrimaryCtxRelease
    let cuCtxPushCurrent: cdm_cuCtxPushCurrent
    let cuCtxPopCurrent: cdm_cuCtxPopCurrent
    let cuMemGetInfo: cdm_cuMemGetInfo
    let cuMemAlloc: cdm_cuMemAlloc
    let cuMemFree: cdm_cuMemFree
    let cuMemHostRegister: cdm_cuMemHostRegister
    let cuMemHostUnregister: cdm_cuMemHostUnregister
    let cuMemGetAllocationGranularity: cdm_cuMemGetAllocationGranularity
    let cuMemCreate: cdm_cuMemCreate
    let cuMemRelease: cdm_cuMemRelease
    let cuMemAddressReserve: cdm_cuMemAddressReserve
    let cuMemAddressFree: cdm_cuMemAddressFree
    let cuMemMap: cdm_cuMemMap
    let cuMemUnmap: cdm_cuMemUnmap
    let cuMemSetAccess: cdm_cuMemSetAccess
    let cuStreamCreate: cdm_cuStreamCreate
    let cuStreamSynchronize: cdm_cuStreamSynchronize
    let cuStreamDestroy: cdm_cuStreamDestroy
    let cuMemcpyDtoHAsync: cdm_cuMemcpyDtoHAsync
    let cuMemcpyHtoDAsync: cdm_cuMemcpyHtoDAsync
    let cuMemHostAlloc: cdm_cuMemHostAlloc
    let cuMemFreeHost: cdm_cuMemFreeHost
    let cuMemHostGetDevicePointer: cdm_cuMemHostGetDevicePointer
    let cuModuleLoadData: cdm_cuModuleLoadData
    let cuModuleUnload: cdm_cuModuleUnload
    let cuModuleGetFunction: cdm_cuModuleGetFunction
    let cuLaunchKernel: cdm_cuLaunchKernel
    /// Nil before CUDA 11.7.
    let cuMemGetHandleForAddressRange: cdm_cuMemGetHandleForAddressRange?
    /// Nil before CUDA 11.3.
    let cuFlushGPUDirectRDMAWrites: cdm_cuFlushGPUDirectRDMAWrites?

    /// Looks the functions up. A suffix such as `_v2` belongs to the name of a function with these
    /// parameters, as cuda.h defines it.
    ///
    /// - Parameter symbol: returns the address of a function; nil if there is none.
    /// - Throws: `DevmemError` of kind `unsupported` if one is missing.
    init(_ symbol: @escaping (String) -> UnsafeMutableRawPointer?) throws(DevmemError) {
        let functions = DriverFunctions(
            library: CUDADriver.library,
            needed: "update NVIDIA's driver; dma-bufs need \(CUDADriver.neededDriver)",
            symbol: symbol)
        cuInit = try functions.need("cuInit", cdm_cuInit.self)
        cuDriverGetVersion = try functions.need("cuDriverGetVersion", cdm_cuDriverGetVersion.self)
        cuGetErrorName = try functions.need("cuGetErrorName", cdm_cuGetErrorName.self)
        cuGetErrorString = try functions.need("cuGetErrorString", cdm_cuGetErrorString.self)
        cuDeviceGetCount = try functions.need("cuDeviceGetCount", cdm_cuDeviceGetCount.self)
        cuDeviceGet = try functions.need("cuDeviceGet", cdm_cuDeviceGet.self)
        cuDeviceGetName = try functions.need("cuDeviceGetName", cdm_cuDeviceGetName.self)
        // The second version, of CUDA 11.4, knows the parts of a GPU that is divided (MIG).
        if let uuid = functions.find("cuDeviceGetUuid_v2", cdm_cuDeviceGetUuid.self) {
            cuDeviceGetUuid = uuid
        } else {
            cuDeviceGetUuid = try functions.need("cuDeviceGetUuid", cdm_cuDeviceGetUuid.self)
        }
        cuDeviceGetPCIBusId = try functions.need(
            "cuDeviceGetPCIBusId", cdm_cuDeviceGetPCIBusId.self)
        cuDeviceTotalMem = try functions.need("cuDeviceTotalMem_v2", cdm_cuDeviceTotalMem.self)
        cuDeviceGetAttribute = try functions.need(
            "cuDeviceGetAttribute", cdm_cuDeviceGetAttribute.self)
        cuDevicePrimaryCtxRetain = try functions.need(
            "cuDevicePrimaryCtxRetain", cdm_cuDevicePrimaryCtxRetain.self)
        cuDevicePrimaryCtxRelease = try functions.need(
            "cuDevicePrimaryCtxRelease_v2", cdm_cuDevicePrimaryCtxRelease.self)
        cuCtxPushCurrent = try functions.need("cuCtxPushCurrent_v2", cdm_cuCtxPushCurrent.self)
        cuCtxPopCurrent = try functions.need("cuCtxPopCurrent_v2", cdm_cuCtxPopCurrent.self)
        cuMemGetInfo = try functions.need("cuMemGetInfo_v2", cdm_cuMemGetInfo.self)
        cuMemAlloc = try functions.need("cuMemAlloc_v2", cdm_cuMemAlloc.self)
        cuMemFree = try functions.need("cuMemFree_v2", cdm_cuMemFree.self)
        cuMemHostRegister = try functions.need("cuMemHostRegister_v2", cdm_cuMemHostRegister.self)
        cuMemHostUnregister = try functions.need(
            "cuMemHostUnregister", cdm_cuMemHostUnregister.self)
        cuMemGetAllocationGranularity = try functions.need(
            "cuMemGetAllocationGranularity", cdm_cuMemGetAllocationGranularity.self)
        cuMemCreate = try functions.need("cuMemCreate", cdm_cuMemCreate.self)
        cuMemRelease = try functions.need("cuMemRelease", cdm_cuMemRelease.self)
        cuMemAddressReserve = try functions.need(
            "cuMemAddressReserve", cdm_cuMemAddressReserve.self)
        cuMemAddressFree = try functions.need("cuMemAddressFree", cdm_cuMemAddressFree.self)
        cuMemMap = try functions.need("cuMemMap", cdm_cuMemMap.self)
        cuMemUnmap = try functions.need("cuMemUnmap", cdm_cuMemUnmap.self)
        cuMemSetAccess = try functions.need("cuMemSetAccess", cdm_cuMemSetAccess.self)
        cuStreamCreate = try functions.need("cuStreamCreate", cdm_cuStreamCreate.self)
        cuStreamSynchronize = try functions.need(
            "cuStreamSynchronize", cdm_cuStreamSynchronize.self)
        cuStreamDestroy = try functions.need("cuStreamDestroy_v2", cdm_cuStreamDestroy.self)
        cuMemcpyDtoHAsync = try functions.need("cuMemcpyDtoHAsync_v2", cdm_cuMemcpyDtoHAsync.self)
        cuMemcpyHtoDAsync = try functions.need("cuMemcpyHtoDAsync_v2", cdm_cuMemcpyHtoDAsync.self)
        cuMemHostAlloc = try functions.need("cuMemHostAlloc", cdm_cuMemHostAlloc.self)
        cuMemFreeHost = try functions.need("cuMemFreeHost", cdm_cuMemFreeHost.self)
        cuMemHostGetDevicePointer = try functions.need(
            "cuMemHostGetDevicePointer_v2", cdm_cuMemHostGetDevicePointer.self)
        cuModuleLoadData = try functions.need("cuModuleLoadData", cdm_cuModuleLoadData.self)
        cuModuleUnload = try functions.need("cuModuleUnload", cdm_cuModuleUnload.self)
        cuModuleGetFunction = try functions.need(
            "cuModuleGetFunction", cdm_cuModuleGetFunction.self)
        cuLaunchKernel = try functions.need("cuLaunchKernel", cdm_cuLaunchKernel.self)
        cuMemGetHandleForAddressRange = functions.find(
            "cuMemGetHandleForAddressRange", cdm_cuMemGetHandleForAddressRange.self)
        cuFlushGPUDirectRDMAWrites = functions.find(
            "cuFlushGPUDirectRDMAWrites", cdm_cuFlushGPUDirectRDMAWrites.self)
    }

    /// Throws if a call failed.
    func check(_ result: UInt32, _ call: @autoclosure () -> String) throws(DevmemError) {
        guard result != cdm_CUDA_SUCCESS else { return }
        throw failure(result, call())
    }

    /// Describes a failed call in the driver's words.
    func failure(_ result: UInt32, _ call: String) -> DevmemError {
        var name: UnsafePointer<CChar>?
        var text: UnsafePointer<CChar>?
        var words: [String] = []
        if cuGetErrorName(result, &name) == cdm_CUDA_SUCCESS, let name {
            words.append(String(cString: name))
        }
        if cuGetErrorString(result, &text) == cdm_CUDA_SUCCESS, let text {
            words.append(String(cString: text))
        }
        if words.isEmpty { words.append("CUDA error \(result)") }
        let kind: DevmemError.Kind
        var errno: Errno?
        switch result {
        case cdm_CUDA_ERROR_NO_DEVICE, cdm_CUDA_ERROR_NOT_SUPPORTED, cdm_CUDA_ERROR_STUB_LIBRARY:
            kind = .unsupported
        case cdm_CUDA_ERROR_OUT_OF_MEMORY:
            kind = .system
            errno = .noMemory
        default: kind = .system
        }
        return DevmemError(
            kind, call: call, errno: errno, message: words.joined(separator: ": "),
            advice: Self.advice(on: result))
    }

    private static func advice(on result: UInt32) -> Advice? {
        switch result {
        case cdm_CUDA_ERROR_NO_DEVICE:
            "nvidia-smi -L lists the GPUs; CUDA_VISIBLE_DEVICES may hide them"
        case cdm_CUDA_ERROR_STUB_LIBRARY:
            "this is the toolkit's stub; put the driver's library first in LD_LIBRARY_PATH"
        case cdm_CUDA_ERROR_SYSTEM_DRIVER_MISMATCH:
            "the kernel's nvidia modules are of another version; reload them or restart the host"
        case cdm_CUDA_ERROR_SYSTEM_NOT_READY:
            "start nvidia-fabricmanager, which this host's GPUs need"
        case cdm_CUDA_ERROR_UNKNOWN:
            "dmesg says more; the kernel's nvidia modules may not be loaded: nvidia-smi loads them"
        default: nil
        }
    }
}

extension CUDADriver {
    /// What can export a dma-buf (NVIDIA's release notes of driver 515).
    static let neededDriver = "driver 515 (CUDA 11.7) or newer"
}
