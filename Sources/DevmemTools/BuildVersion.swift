import CDevmem

/// What `--version` prints.
package enum BuildVersion {
    /// The version; the man page shows it too.
    package static let number = "0.1.0"

    /// The name, the version, and the commit if the build was told one.
    package static let text = text(commit: String(cString: cdm_commit()))

    /// The same for a commit; empty if it is not known.
    package static func text(commit: String) -> String {
        "devmemtcp \(number)" + (commit.isEmpty ? "" : " (\(commit))")
    }
}
