package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A host tells systemd when it listens, and when it drains.
func TestNotifiesSystemd(t *testing.T) {
	for _, at := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@bungee-test-%d", os.Getpid())} {
		systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer systemd.Close()
		t.Setenv("NOTIFY_SOCKET", at)
		p := startHost(t)
		if got := told(t, systemd); got != "READY=1" {
			t.Errorf("%s: it says %q when it listens; want READY=1", at, got)
		}
		p.cmd.Process.Signal(syscall.SIGTERM)
		if got := told(t, systemd); got != "STOPPING=1" {
			t.Errorf("%s: it says %q when it drains; want STOPPING=1", at, got)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// A systemd that is not there is logged, and the host serves.
func TestSystemdIsNotThere(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	p := startHost(t)
	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := p.log.String(); strings.Count(got, "systemd is not told") != 2 {
		t.Errorf("the log says nothing of it: %s", got)
	}
}

func told(t *testing.T, systemd *net.UnixConn) string {
	t.Helper()
	systemd.SetReadDeadline(time.Now().Add(time.Minute))
	b := make([]byte, 100)
	n, err := systemd.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}
