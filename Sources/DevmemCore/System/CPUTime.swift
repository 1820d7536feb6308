import Glibc

/// CPU time of the host and of this process.
package enum CPUTime {
    /// The seconds that all CPUs have spent in softirqs since boot (/proc/stat of
    /// Documentation/filesystems/proc.rst); 0 if unknown.
    package static var softirq: Double { softirq(in: lines(of: "/proc/stat").first ?? "") }

    /// Returns the softirq time in seconds from the first line of /proc/stat.
    static func softirq(in line: Substring) -> Double {
        let fields = line.split(separator: " ")
        guard fields.count > 7, fields[0] == "cpu", let ticks = Double(fields[7]) else { return 0 }
        return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// The seconds that all threads of this process have spent in user mode and in the kernel.
    package static var ofProcess: (user: Double, system: Double) { of(RUSAGE_SELF.rawValue) }

    /// Returns the seconds of the process or thread that getrusage(2) names so.
    static func of(_ who: Int32) -> (user: Double, system: Double) {
        var usage = rusage()
        getrusage(who, &usage)
        func seconds(_ time: timeval) -> Double {
            Double(time.tv_sec) + Double(time.tv_usec) / 1e6
        }
        return (seconds(usage.ru_utime), seconds(usage.ru_stime))
    }
}
