package main

import (
	"strings"
	"testing"
)

const vendoredApp = `
-- app.go --
package app

import (
	"context"

	"github.com/bungee-xr/bungee/offload"
)

var Lost = offload.CodeLost

//offload:func
func double(ctx context.Context, n int) (int, error) { return 2 * n, nil }

//offload:endpoint
type sum struct{ N int }

func (s *sum) Handle(ctx context.Context, n int) (int, error) {
	s.N += n
	return s.N, nil
}
`

func (c consumer) mustGo(t *testing.T, args ...string) {
	t.Helper()
	if out, ok := c.goRun(t, args...); !ok {
		t.Fatalf("go %q:\n%s", args, out)
	}
}

// TestVendor has a module that vendors what it imports, and that nothing was generated for
// yet. It refuses with the commands, which do what is needed: after them everything works
// from vendor/ alone.
func TestVendor(t *testing.T) {
	long(t)
	c := newConsumer(t, tooled, vendoredApp)
	alone := func() { // from vendor/
		t.Setenv("GOFLAGS", "")
		t.Setenv("GOPROXY", "off")
	}
	proxy, flags := goEnv(t, "GOPROXY"), "-mod=mod -modcacherw"
	c.mustGo(t, "build", "./...") // adds to go.sum
	c.mustGo(t, "mod", "vendor")
	alone()
	said, status := c.offloadgen()
	if want := "run: go get -tool " + ourPath + "/tools/offloadgen && go mod vendor"; status != 1 || !strings.Contains(said, want) {
		t.Errorf("exit status %d, it says\n%s\nwant: %s", status, said, want)
	}

	t.Setenv("GOPROXY", proxy)
	t.Setenv("GOFLAGS", flags)
	c.mustGo(t, "get", "-tool", ourPath+"/tools/offloadgen")
	c.mustGo(t, "mod", "vendor")
	alone()
	cache := goEnv(t, "GOMODCACHE")
	t.Setenv("GOMODCACHE", t.TempDir())
	said, status = c.offloadgen()
	if status != 0 || !strings.Contains(said, "for one, run: go get "+offloadtestPath) {
		t.Fatalf("exit status %d\n%s", status, said)
	}
	c.mustGo(t, "vet", "./...")

	t.Setenv("GOMODCACHE", cache)
	t.Setenv("GOPROXY", proxy)
	t.Setenv("GOFLAGS", flags)
	c.mustGo(t, "get", offloadtestPath)
	c.mustGo(t, "mod", "vendor") // go get has changed go.mod
	t.Setenv("GOFLAGS", "")
	said, status = c.offloadgen()
	if status != 0 || !strings.Contains(said, "vendor/ lacks; run: go mod vendor") {
		t.Fatalf("with what the test imports: exit status %d\n%s", status, said)
	}
	c.mustGo(t, "mod", "vendor")
	alone()
	t.Setenv("GOMODCACHE", t.TempDir())
	c.mustGo(t, "vet", "./...")
	if said, status := c.offloadgen("-check"); status != 0 {
		t.Errorf("after go mod vendor the generated files are stale:\n%s", said)
	}
}
