// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

// Not where C modules that include the same headers of the C library meet: which of them a member
// such as sockaddr.sa_family belongs to depends on the order in which the compiler loads them.
let strictImports: [SwiftSetting] =
    swiftSettings + [
        .enableUpcomingFeature("MemberImportVisibility")
    ]

// The commit for --version, from whoever builds: what the manifest itself can learn of git is out of date, as
// evaluated manifests are kept.
let commit = Context.environment["DEVMEMTCP_COMMIT"].map { commit in
    [CSetting.define("CDM_COMMIT", to: "\"\(commit)\"")]
}

let argumentParser = Target.Dependency.product(
    name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let commandDependencies: [Target.Dependency] = [
    "DevmemCore", "DevmemTools", argumentParser, logging, system,
]

let package = Package(
    name: "devmemtcp",
    products: [
        .library(name: "DevmemCore", targets: ["DevmemCore"]),
        .executable(name: "devmemtcp", targets: ["devmemtcp"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
        // Percentiles of response times, at a few nanoseconds a response and in bounded memory.
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
    ],
    targets: [
        .systemLibrary(
            name: "CNetlink", pkgConfig: "libnl-genl-3.0",
            providers: [.apt(["libnl-3-dev", "libnl-genl-3-dev"])]),
        .systemLibrary(
            name: "CUdev", pkgConfig: "libudev", providers: [.apt(["libudev-dev"])]),
        // Filters of system calls: the BPF programs, and the numbers of each architecture.
        .systemLibrary(
            name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
        .target(
            name: "CDevmem",
            cSettings: [.define("_GNU_SOURCE"), .treatAllWarnings(as: .error)] + (commit ?? [])),
        .target(
            name: "DevmemCore",
            dependencies: [
                "CDevmem", "CNetlink", "CUdev",
                logging, system,
            ],
            swiftSettings: swiftSettings),
        .target(
            name: "DevmemTools",
            dependencies: [
                "DevmemCore", "CDevmem", "CSeccomp",
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                logging, system,
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "devmemtcp", dependencies: commandDependencies,
            swiftSettings: strictImports),
        .target(
            name: "TestSupport", dependencies: ["DevmemCore"], path: "Tests/TestSupport",
            swiftSettings: swiftSettings),
        // The lab makes libraries of the same files.
        .target(
            name: "CUDAStandIn", dependencies: ["CDevmem"], path: "Tests/Lab/cuda",
            cSettings: [.define("_GNU_SOURCE"), .treatAllWarnings(as: .error)]),
        .testTarget(
            name: "DevmemCoreTests",
            dependencies: [
                "DevmemCore", "CDevmem", "CUDAStandIn", "TestSupport",
                logging, system,
            ],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "DevmemToolsTests",
            dependencies: [
                "DevmemTools", "DevmemCore", "CDevmem", "CSeccomp", "TestSupport",
                logging, system,
            ],
            swiftSettings: swiftSettings),
        .testTarget(
            name: "DevmemCLITests",
            dependencies: [
                "devmemtcp", "DevmemCore", "DevmemTools",
                argumentParser,
            ],
            swiftSettings: swiftSettings),
    ],
    swiftLanguageModes: [.v6]
)

// Set by scripts/fuzz, so that the ordinary build has nothing of it. The command becomes a library, because no other
// program can be linked with one. Two files of the target are links to files of the unit tests, and a file can be of one
// target only.
if Context.environment["DEVMEMTCP_FUZZ"] != nil {
    package.products.removeAll { $0.name == "devmemtcp" }
    package.targets.removeAll { $0.type == .test || $0.name == "devmemtcp" }
    package.targets += [
        .target(
            name: "devmemtcp", dependencies: commandDependencies,
            swiftSettings: strictImports + [
                .unsafeFlags([
                    "-Xfrontend", "-entry-point-function-name", "-Xfrontend", "devmemtcp_main",
                ])
            ]),
        .systemLibrary(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
        .executableTarget(
            name: "fuzz", dependencies: commandDependencies + ["CDevmem", "CFuzzer", "devmemtcp"],
            path: "Tests/Fuzz/Sources", swiftSettings: swiftSettings),
    ]
}

// Set by scripts/gpu: the checks of the unit tests on a real GPU. They see the internal parts of the library, so that the
// whole build is made for tests.
if Context.environment["DEVMEMTCP_GPU"] != nil {
    package.targets.append(
        .executableTarget(
            name: "gpu-check", dependencies: ["DevmemCore", "CDevmem", logging],
            path: "Tests/GPU/Sources", swiftSettings: swiftSettings))
}
