import CDevmem

/// The output of `--version`.
package enum BuildVersion {
    /// The version, which the man page states too.
    package static let number = "0.1.0"

    /// The name, the version, and the commit if the build knows it.
    package static let text = text(commit: String(cString: cdm_commit()))

    /// Returns the same text for a given commit; an empty one is left out.
    package static func text(commit: String) -> String {
        "devmemtcp \(number)" + (commit.isEmpty ? "" : " (\(commit))")
    }
}
