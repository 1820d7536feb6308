import Glibc

/// What the host's processors have done since it was started.
package enum HostTime {
    /// Seconds that all processors spent in softirqs (/proc/stat of
    /// Documentation/filesystems/proc.rst); zero if the kernel does not tell.
    package static var softirq: Double { softirq(in: lines(of: "/proc/stat").first ?? "") }

    /// The same from the first line of /proc/stat.
    static func softirq(in line: Substring) -> Double {
        let fields = line.split(separator: " ")
        guard fields.count > 7, fields[0] == "cpu", let ticks = Double(fields[7]) else { return 0 }
        return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Seconds that all threads of this process have spent, in user mode and in the kernel.
    package static var ofProcess: (user: Double, system: Double) {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        func seconds(_ time: timeval) -> Double {
            Double(time.tv_sec) + Double(time.tv_usec) / 1e6
        }
        return (seconds(usage.ru_utime), seconds(usage.ru_stime))
    }
}
