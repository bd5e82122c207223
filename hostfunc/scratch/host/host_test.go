package host_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/executor/enginetest"
	"github.com/bungee-xr/bungee/executor/wazero"
	"github.com/bungee-xr/bungee/hostfunc/scratch/host"
	"github.com/bungee-xr/bungee/hostfunc/scratch/host/testdata/flow"
	"github.com/bungee-xr/bungee/internal/abi"
)

// Functions of the guest.
const (
	fnFlow = iota
	fnSwap
)

// guestModule builds the guest in testdata and loads it.
func guestModule(t *testing.T) executor.Module {
	t.Helper()
	e, err := wazero.New(wazero.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return enginetest.Load(t, e, enginetest.BuildGo(t, "./testdata/guest"))
}

func instance(t *testing.T, m executor.Module) executor.Instance {
	t.Helper()
	return enginetest.Instance(t, m, host.Functions())
}

// TestGuest builds and compiles its guest once: that takes longer than the rest.
func TestGuest(t *testing.T) {
	m := guestModule(t)
	t.Run("Flow", func(t *testing.T) { testFlow(t, m) })
	t.Run("Sessions", func(t *testing.T) { testSessions(t, m) })
}

// testFlow runs one source natively and in a guest and compares what it saw.
func testFlow(t *testing.T, m executor.Module) {
	reply, err := instance(t, m).Call(t.Context(), fnFlow, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(flow.Run(), string(reply.Payload)); diff != "" {
		t.Errorf("native (-) and guest (+) saw different things:\n%s", diff)
	}
}

// testSessions has values go with their session, whichever instance it meets, and to no
// other.
func testSessions(t *testing.T, m executor.Module) {
	acme, other := executor.NewTenant("acme", capability.Quota{}), executor.NewTenant("other", capability.Quota{})
	ann := &executor.Account{Tenant: acme, Name: "ann"}
	bob := &executor.Account{Tenant: acme, Name: "bob"}
	eve := &executor.Account{Tenant: other, Name: "eve"}
	x, y := instance(t, m), instance(t, m)
	tests := []struct {
		why     string
		in      executor.Instance
		session *executor.Account
		set     string
		want    string
	}{
		{"nothing is there at first", x, ann, "ann's", ""},
		{"another session of the tenant, in the same instance", x, bob, "bob's", ""},
		{"another tenant", x, eve, "eve's", ""},
		{"the same session in another instance", y, ann, "ann's 2", "ann's"},
		{"and back", x, ann, "ann's 3", "ann's 2"},
		{"no session has what sessions set", x, nil, "x's", ""},
		{"an instance's own is not another's", y, nil, "y's", ""},
		{"but its own", x, nil, "x's 2", "x's"},
		{"bob has his", y, bob, "", "bob's"},
	}
	for _, tt := range tests {
		ctx := executor.WithCall(t.Context(), &executor.Call{Account: tt.session})
		reply, err := tt.in.Call(ctx, fnSwap, []byte(tt.set))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(reply.Payload); got != tt.want {
			t.Errorf("%s: got %q; want %q", tt.why, got, tt.want)
		}
	}
}

// memory is a guest's memory.
type memory []byte

func (m memory) Bytes(ptr, n uint32) ([]byte, bool) {
	if !abi.Inside(ptr, n, uint64(len(m))) {
		return nil, false
	}
	return m[ptr:][:n], true
}

// FuzzCalls has any function called with any values: it traps or answers, and the host
// is intact.
func FuzzCalls(f *testing.F) {
	for k := range uint8(3) {
		f.Add(k, uint32(0), uint32(3), uint32(3), uint32(64))
		f.Add(k, uint32(1<<32-1), uint32(1<<32-1), uint32(1<<17), uint32(0))
	}
	mem := make(memory, 1<<17)
	f.Fuzz(func(t *testing.T, k uint8, key, keyLen, buf, n uint32) {
		funcs, _ := host.Functions().New()
		fn := funcs[int(k)%len(funcs)]
		stack := []uint64{uint64(key), uint64(keyLen), uint64(buf), uint64(n)}
		inside := abi.Inside(key, keyLen, 1<<17) && keyLen <= executor.MaxString
		if fn.Name != "delete" {
			inside = inside && abi.Inside(buf, n, 1<<17)
		}
		if err := fn.Call(context.Background(), mem, stack); (err == nil) != inside {
			t.Errorf("%s: %v; all inside: %t", fn.Name, err, inside)
		}
	})
}

// An edge host gives each session a scratch of its own.
func ExampleFunctions() {
	m := host.Functions()
	funcs, _ := m.New()
	for _, f := range funcs {
		fmt.Printf("%s.%s(%s) %s\n", m.Name, f.Name, f.Params, f.Results)
	}
	// Output:
	// bungee_scratch.get(iiii) i
	// bungee_scratch.set(iiii) i
	// bungee_scratch.delete(ii)
}
