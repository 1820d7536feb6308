import Testing

@testable import DevmemCore

@Suite struct DriverLibraryTests {
    /// They name libraries to load, files to write and others' sockets.
    @Test(arguments: [
        "CUDA_INJECTION64_PATH", "CUDA_CACHE_PATH", "NVTX_INJECTION64_PATH", "HSA_TOOLS_LIB",
        "HIP_TRACE_API", "ROCP_TOOL_LIB", "ROCPROFILER_TOOL", "AMD_LOG_LEVEL_FILE", "GPU_DUMP",
    ])
    func variablesOfDriversAreNotTrusted(name: Substring) {
        #expect(isOfDriver(name))
    }

    @Test(arguments: [
        "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "PATH", "HOME", "",
        "NOTIFY_SOCKET", "LANG", "CREDENTIALS_DIRECTORY",
    ])
    func othersAre(name: Substring) {
        #expect(!isOfDriver(name))
    }
}
