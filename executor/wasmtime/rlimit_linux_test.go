//go:build cgo

package wasmtime_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/wasmtime"
)

// limited is set in the processes that TestResourceLimits starts: a resource and a limit in
// MiB more than the process has.
const limited = "BUNGEE_TEST_RLIMIT"

// TestResourceLimits starts processes with limits on their address space, or on what of it is
// writable, that have no room for slots. Each does with instances that are mapped one by one,
// and says what slots would need. None ends by wasmtime's abort.
func TestResourceLimits(t *testing.T) {
	if spec := os.Getenv(limited); spec != "" {
		underLimit(t, spec)
		return
	}
	for _, tt := range []struct {
		name     string
		resource int
		mib      int
	}{
		{"AddressSpace", unix.RLIMIT_AS, 6 << 10}, // a memory reserves 4 GiB
		{"Data", unix.RLIMIT_DATA, 512},
		{"DataOfSlotsButOne", unix.RLIMIT_DATA, 120 << 10}, // slots need 128 GiB
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestResourceLimits$", "-test.v")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", limited, tt.resource, tt.mib))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS") {
				t.Errorf("a process with %d MiB more: %v\n%s", tt.mib, err, out)
			}
		})
	}
}

// underLimit limits this process to mib MiB more than it has, and uses an engine.
func underLimit(t *testing.T, spec string) {
	var resource, mib int
	if _, err := fmt.Sscan(spec, &resource, &mib); err != nil {
		t.Fatal(err)
	}
	field := "VmSize:"
	if resource == unix.RLIMIT_DATA {
		field = "VmData:"
	}
	most := status(t, field) + uint64(mib)<<20
	if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	e := newEngine(t, wasmtime.Config{Logger: slog.New(slog.NewTextHandler(&b, nil))})
	defer e.Close()
	echoOf(t, e, executor.Source{})
	if log := b.String(); !strings.Contains(log, "mapped one by one") || !strings.Contains(log, `data="128 GiB"`) {
		t.Errorf("log %q; want a record of what slots need", log)
	}
}

// status returns a size of this process, in bytes.
func status(t *testing.T, field string) uint64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), field)
	kib, err := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
