package siege

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/bungee-xr/bungee/capability"
	"github.com/bungee-xr/bungee/executor"
	"github.com/bungee-xr/bungee/handler/host"
	egress "github.com/bungee-xr/bungee/hostfunc/egress/host"
	nnhost "github.com/bungee-xr/bungee/hostfunc/nn/host"
	"github.com/bungee-xr/bungee/hostfunc/nn/nntest"
	scratch "github.com/bungee-xr/bungee/hostfunc/scratch/host"
	"github.com/bungee-xr/bungee/internal/abi"
	"github.com/bungee-xr/bungee/internal/wire"
	"github.com/bungee-xr/bungee/offload"
)

// openHostile opens a house for hostile calls: with a policy, and all host functions.
func openHostile(t *testing.T) *house {
	t.Helper()
	policy, err := capability.ParsePolicy("hostile.toml", []byte(Policy))
	if err != nil {
		t.Fatal(err)
	}
	return openWith(t, host.Config{Policy: policy, CallLimit: time.Minute, Functions: []host.Provider{
		{Name: scratch.Name, Functions: func(capability.Grant) executor.HostFuncs { return scratch.Functions() }},
		{Name: egress.Name, Functions: func(g capability.Grant) executor.HostFuncs { return egress.Functions(g, egress.Config{}) }},
		{Name: nnhost.Name, Functions: func(g capability.Grant) executor.HostFuncs { return nnhost.Functions(nntest.Mean(), g.Models) }},
	}})
}

// Each kind of hostile call has one of the answers that it may have, over QUIC and TCP, and costs the next
// call nothing.
func TestKinds(t *testing.T) {
	h := openHostile(t)
	for _, tcp := range []bool{false, true} {
		u := &Hostile{Name: "hostile", Host: h.addr, Conf: h.conf(t, "hostile"), TCP: tcp}
		nn, err := u.Enter(t.Context(), 7)
		if err != nil || !nn {
			t.Fatalf("%v, networks: %v", err, nn)
		}
		if a, reply, err := u.askFor(t.Context(), hostileCall(fnRequest, 0, nil)); err != nil || a != result(abi.OK) || binary.LittleEndian.Uint32(reply) != requestAt {
			t.Fatalf("%v, % x, %v: the guest has its request elsewhere than at %#x; a linker has moved it", a, reply, err, requestAt)
		}
		for _, k := range Kinds() {
			t.Run(k.Name+map[bool]string{true: "/tcp", false: "/quic"}[tcp], func(t *testing.T) {
				for range min(10, max(2, k.Share)) {
					a, err := u.Call(t.Context(), &k)
					if err != nil || !k.Expected(a) {
						t.Errorf("%v, %v; want %s", a, err, k.AllowedText())
					}
					if err := u.Honest(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
		u.Leave()
	}
}

func TestKindsTable(t *testing.T) {
	names := map[string]bool{}
	for _, k := range Kinds() {
		if names[k.Name] || k.Share < 1 || len(k.Allowed) == 0 {
			t.Errorf("%s: it is there twice, or is never made, or has no answer", k.Name)
		}
		names[k.Name] = true
	}
	if len(names) < 24 {
		t.Errorf("%d kinds, want 24 at least", len(names))
	}
	if k := wrongHostCalls[2]; k.AllowedText() != "result ok or fail deadline passed" {
		t.Errorf("%s: %s", k.Name, k.AllowedText())
	}
}

// A second answer is seen, and so is one that is none.
func TestOneAnswer(t *testing.T) {
	one := wire.AppendFail(nil, wire.Fail{Code: offload.CodeTrapped})
	if a, _, err := readAnswer(bytes.NewReader(one)); err != nil || a != fail(offload.CodeTrapped) {
		t.Errorf("%v, %v", a, err)
	}
	st := bytes.NewReader(slices.Concat(one, one))
	if _, _, err := readAnswer(st); err != nil {
		t.Fatal(err)
	}
	if err := readEnd(st); !errors.Is(err, errMore) {
		t.Errorf("two answers: %v", err)
	}
	for _, b := range [][]byte{nil, {byte(wire.TypeCall)}, one[:2]} {
		if a, _, err := readAnswer(bytes.NewReader(b)); err == nil {
			t.Errorf("% x is an answer: %v", b, a)
		}
	}
}
