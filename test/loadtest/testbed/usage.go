package testbed

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of processor time in /proc: USER_HZ, the same on all Linux systems.
const clockTick = 10 * time.Millisecond

// Usage is the processor time that each program of the testbed has used.
type Usage struct {
	operator, apiserver, etcd, bench time.Duration
}

// Usage reads the processor times from /proc. A program without an entry there has zero.
func (s *Testbed) Usage() Usage {
	var u Usage
	if s.Operator != nil {
		u.operator = CpuTime(s.Operator.Pid())
	}
	u.apiserver, u.etcd, u.bench = CpuTime(childPID("kube-apiserver")), CpuTime(childPID("etcd")), CpuTime(os.Getpid())
	return u
}

// Since returns what was used after before.
func (u Usage) Since(before Usage) Usage {
	return Usage{u.operator - before.operator, u.apiserver - before.apiserver, u.etcd - before.etcd, u.bench - before.bench}
}

func (u Usage) String() string {
	return fmt.Sprintf("processor seconds: operator %.1f, kube-apiserver %.1f, etcd %.1f, clients %.1f",
		u.operator.Seconds(), u.apiserver.Seconds(), u.etcd.Seconds(), u.bench.Seconds())
}

// CpuTime returns the processor time of a process, including its system calls. It is zero where
// there is no /proc.
func CpuTime(pid int) time.Duration {
	fields := procStat(pid)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])   //nolint:errcheck // the kernel writes numbers
	system, _ := strconv.Atoi(fields[12]) //nolint:errcheck // as above
	return time.Duration(user+system) * clockTick
}

// procStat returns the fields of /proc/PID/stat from the third on. These follow the program's name,
// which may contain spaces.
func procStat(pid int) []string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(line), ") ")
	return strings.Fields(rest)
}

// childPID returns the process id of this program's child of that name, or zero if there is none.
func childPID(name string) int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		called, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)) //nolint:errcheck // it may have ended
		if fields := procStat(pid); strings.TrimSpace(string(called)) == name && len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			return pid
		}
	}
	return 0
}

// ResidentMemory returns the memory of a process in MiB: the current and the maximum. Both are zero
// where there is no /proc.
func ResidentMemory(pid int) (now, most float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(fields[1], 64) //nolint:errcheck // other lines are no numbers
		switch fields[0] {
		case "VmRSS:":
			now = kib / 1024
		case "VmHWM:":
			most = kib / 1024
		}
	}
	return now, most
}
