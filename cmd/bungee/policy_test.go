package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/offload/codegen"
)

// writePolicy writes a policy file.
func writePolicy(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "edge.toml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A module that asks for more than the policy grants is refused, and the UE is told
// the capability and the line; the same module that asks for less runs.
func TestPolicyRefusesAModule(t *testing.T) {
	p := startHost(t, "--policy", writePolicy(t, "[default]\nconnect = [\"api.example.com:443\"]\n"))
	h := startUE(t, p)
	f := raw(t, "basic", 0, errNative)
	wasm, err := capability.Append(enginetest.Guest(t, "basic"), capability.Manifest{Connect: []string{"other.example.com:80"}})
	if err != nil {
		t.Fatal(err)
	}
	f.Module = codegen.NewModule(wasm)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = h.Prepare(ctx, &f.Desc)
	for _, word := range []string{"denied", "connect", "other.example.com:80", "edge.toml:2"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("got %v; want a refusal that says %q", err, word)
		}
	}
	if _, err := f.Call(t.Context(), nil); !errors.Is(err, errNative) {
		t.Errorf("a call of it: %v, want a fallback", err)
	}
	echo := raw(t, "basic", 0, errNative)
	ready(t, h, &echo.Desc)
}

// What a metered session cost is in the log when it has ended. A text of 5 bytes is 7 in
// msgpack.
func TestBill(t *testing.T) {
	p := startHost(t, "--policy", writePolicy(t, "[default]\nmeter = true\n"))
	h := startUE(t, p)
	echo := raw(t, "basic", 0, errNative)
	ready(t, h, &echo.Desc)
	for range 5 {
		if got, err := echo.Call(t.Context(), []byte("hello")); string(got) != "hello" {
			t.Fatalf("%q, %v", got, err)
		}
	}
	h.Close()
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
	line := regexp.MustCompile(`msg=bill tenant=\S+ session=\S+ bill.calls=5 bill.bytes_in=35 bill.bytes_out=35 .*bill.fuel=[1-9]\d* bill.cpu=\S+`)
	if !line.MatchString(p.log.String()) {
		t.Errorf("the log has no line %s:\n%s", line, p.log)
	}
}

func TestMetrics(t *testing.T) {
	p := startHost(t, "--metrics", "127.0.0.1:0")
	h := startUE(t, p)
	echo := raw(t, "basic", 0, errNative)
	ready(t, h, &echo.Desc)
	if _, err := echo.Call(t.Context(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	url := metricsOf(t, p)
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`bungee_calls_total{tenant="ue"} 1`, `bungee_request_bytes_total{tenant="ue"} 7`,
		`bungee_instances{tenant="ue"} 1`, `bungee_modules{tenant="ue"} 1`, `bungee_sessions{tenant="ue"} 1`, `bungee_connections{tenant="ue"} 1`, "process_resident_memory_bytes",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("metrics lack %s:\n%s", want, b)
		}
	}
}
