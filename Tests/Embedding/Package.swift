// swift-tools-version: 6.2
import PackageDescription

// Programs that embed the library like any other package: they see only its public API.
let package = Package(
    name: "embedding",
    dependencies: [
        .package(name: "devmemtcp", path: "../.."),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    ],
    targets: ["receive", "handover"].map {
        .executableTarget(
            name: $0,
            dependencies: [
                .product(name: "DevmemCore", package: "devmemtcp"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: [.treatAllWarnings(as: .error)])
    },
    swiftLanguageModes: [.v6]
)
