package report

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestWriteToAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no small disk can be mounted (%v); as root: sudo go test ./cmd/yolo-demo/internal/report", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	err := Write(dir, madeUp(600)) // the rows alone take over 100 KB
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v; want no space left on device", err)
	}
	for _, want := range []string{MetricsFile, dir, "free some space", "-out"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q; want %q in it", err, want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v left behind, %v; want nothing", left, err)
	}
}
