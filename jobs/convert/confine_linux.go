package convert

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// confine takes away what a converter does not need, from the calling thread and so from all that it starts: privileges, those by way of other programs
// too, the network, writing anywhere but in its folder, and signals to whom it has not started.
func confine(folder string) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give privileges up: %w", err)
	}
	// What the service manager gives waybill for reading leases, and every program that it starts.
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("give capabilities up: %w", err)
	}
	writeOnlyIn(folder)
	return withoutNetwork()
}

// Landlock (https://docs.kernel.org/userspace-api/landlock.html) from its first version on, later ones by number.
const (
	writing1 = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK | unix.LANDLOCK_ACCESS_FS_MAKE_FIFO |
		unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM
	writing2 = writing1 | unix.LANDLOCK_ACCESS_FS_REFER
	writing3 = writing2 | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	scoped6  = unix.LANDLOCK_SCOPE_SIGNAL | unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET // without which it may end waybill, being the same user
)

// writeOnlyIn lets files be written in a folder and nowhere else, where the kernel can do that (5.13, when it was built with Landlock; from 6.2 on they
// cannot be cut off elsewhere either), and signals be sent to its own (6.12). Where it cannot, the program may do what waybill may.
func writeOnlyIn(folder string) {
	version, _, no := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if no != 0 {
		return
	}
	attr := unix.LandlockRulesetAttr{Handled_access_fs: writing1}
	switch {
	case version >= 3:
		attr.Handled_access_fs = writing3
	case version == 2:
		attr.Handled_access_fs = writing2
	}
	size := unsafe.Sizeof(attr.Handled_access_fs)
	if version >= 6 {
		attr.Scoped, size = scoped6, unsafe.Offsetof(attr.Scoped)+unsafe.Sizeof(attr.Scoped)
	}
	rules, _, no := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if no != 0 {
		return
	}
	defer func() { _ = unix.Close(int(rules)) }()
	for _, rule := range []struct {
		path   string
		access uint64
	}{{folder, attr.Handled_access_fs}, {"/dev/null", unix.LANDLOCK_ACCESS_FS_WRITE_FILE}} {
		fd, err := unix.Open(rule.path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		beneath := unix.LandlockPathBeneathAttr{Allowed_access: rule.access, Parent_fd: int32(fd)} //nolint:gosec // a file descriptor
		_, _, no := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, rules, unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&beneath)), 0, 0, 0)
		_ = unix.Close(fd)
		if no != 0 {
			return
		}
	}
	_, _, _ = unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, rules, 0, 0) // see above
}

// What a filter of system calls reads (struct seccomp_data).
const (
	callNumber   = 0
	callArch     = 4
	callArgument = 16 // its lower half, on little-endian machines
)

// withoutNetwork makes the kernel refuse sockets of any family but AF_UNIX, as if it did not know them.
func withoutNetwork() error {
	filter := socketFilter(runtime.GOARCH)
	if filter == nil {
		return nil
	}
	all := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]} //nolint:gosec // a few
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&all)), 0, 0); err != nil {
		return fmt.Errorf("keep it off the network: %w", err)
	}
	return nil
}

// socketFilter is the filter for an architecture, nil where it is not known.
func socketFilter(arch string) []unix.SockFilter {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		least  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		answer = unix.BPF_RET | unix.BPF_K
		denied = unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)

		x32         = 0x40000000 // a second set of numbers for the calls of amd64
		socketI386  = 359
		socketsI386 = 102 // socketcall, which is several calls in one
	)
	native := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "riscv64": unix.AUDIT_ARCH_RISCV64}[arch]
	if native == 0 {
		return nil
	}
	return []unix.SockFilter{
		0:  {Code: load, K: callArch},
		1:  {Code: equal, K: native, Jt: 5},
		2:  {Code: equal, K: unix.AUDIT_ARCH_I386, Jf: 10}, // programs of 32 bits, on amd64
		3:  {Code: load, K: callNumber},
		4:  {Code: equal, K: socketI386, Jt: 8},
		5:  {Code: equal, K: socketsI386, Jt: 7},
		6:  {Code: equal, K: unix.SYS_IO_URING_SETUP, Jt: 6, Jf: 7}, // which opens sockets, too
		7:  {Code: load, K: callNumber},
		8:  {Code: least, K: x32, Jt: 4},
		9:  {Code: equal, K: unix.SYS_IO_URING_SETUP, Jt: 3},
		10: {Code: equal, K: unix.SYS_SOCKET, Jf: 3},
		11: {Code: load, K: callArgument},
		12: {Code: equal, K: unix.AF_UNIX, Jt: 1},
		13: {Code: answer, K: denied},
		14: {Code: answer, K: unix.SECCOMP_RET_ALLOW},
	}
}
